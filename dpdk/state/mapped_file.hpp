// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace noclash::dpdk {

/// A file in memory (tmpfs or hugetlbfs) that one process at a time has open, and maps as a whole.
/// It belongs to this user and nobody else can read it.
class MappedFile {
  public:
    /// Opens the file, and makes it when there is none; makes its directory, too.
    /// @throws std::runtime_error that names the file, and the process that has it
    explicit MappedFile(std::string path);
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    [[nodiscard]] const std::string& path() const { return path_; }
    /// As it is in the file system.
    [[nodiscard]] std::size_t size() const { return size_; }
    /// The size of the pages of its file system: all sizes are multiples.
    [[nodiscard]] std::size_t page() const { return page_; }

    /// Gives the file this size, with memory behind each byte: no access fails later. New bytes are
    /// zeros. @throws std::runtime_error when there is too little memory
    void resize(std::size_t bytes);
    /// Maps the whole file; what was mapped before is not any more.
    /// @throws std::runtime_error
    void map();
    /// Brings all of it into memory, on huge pages where that can be.
    /// @throws std::runtime_error when there is too little memory
    void populate();
    [[nodiscard]] std::byte* data() const { return data_; }

    /// The error of a file: `state file PATH: why`.
    [[noreturn]] void refuse(const std::string& why) const;

  private:
    void lock();
    void unmap();

    std::string path_;
    int descriptor_ = -1;
    std::size_t size_ = 0;
    std::size_t page_ = 0;
    void* reserved_ = nullptr;  ///< address space that the mapping lies in
    std::size_t reserved_bytes_ = 0;
    std::byte* data_ = nullptr;
};

/// Replaces a file by another content in one step: whoever opens it sees the old one or the new
/// one. For any file system, hugetlbfs too, which takes no `write`; so the content ends with the
/// first NUL. The file can be read by its owner alone.
/// @throws std::runtime_error
void replace_file(const std::string& path, const std::string& content);

/// Its content.
/// @throws std::runtime_error
[[nodiscard]] std::string read_replaced(const std::string& path);

}  // namespace noclash::dpdk
