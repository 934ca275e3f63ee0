# SPDX-License-Identifier: Apache-2.0
"""Mutants of the engine: each with one fault that the scheduler has to catch.

    mutants.py list                        NAME;FILE:FILE..;SCENARIOS, one mutant a line: the files
                                           that it edits, and the scenarios' file that it needs
    mutants.py make NAME ROOT DIR MARKER   writes the mutated headers below DIR, and the file MARKER
    mutants.py fit ROOT                    says whether all edits fit their headers
    mutants.py check NINJA BUILD DIR       builds all mutants and runs each until it is caught

A mutant is a few edits. An edit names a file, text that has to occur in it exactly once (white space
and comments apart), and what stands there instead. When a header has changed so that the text is not
there any more, `fit` and the build fail: then the mutant has to follow.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

INDEX_HEAD = 'engine/tuple_index.hpp'
INDEX = 'engine/tuple_index_impl.hpp'
RESERVATION = 'engine/reservation.hpp'
TABLE = 'engine/flow_table.hpp'
WORKER = 'engine/flow_worker.hpp'
RETIRED = 'engine/retired.hpp'
CROWDED = 'nat/ports/occupancy_maps.hpp'
MAP = 'nat/ports/occupancy_map.hpp'
REUSE = 'nat/reuse/time_wait_reuse.hpp'
MAPPING = 'nat/mapping/mapping.hpp'
MAPPINGS = 'nat/mapping/mappings.hpp'
FLOW_END = 'nat/mapping/flow_end.hpp'
SOURCES = 'nat/limits/source_table.hpp'
LIMITS = 'nat/limits/limits.hpp'
ADOPTION = 'engine/flow_adoption.hpp'
NAT_ADOPTION = 'nat/adoption.hpp'
PROXY = 'nat/syn_proxy/syn_proxy.hpp'

# name: (what is wrong, scenario, checks of which one has to catch it, [(file, original, instead)])
MUTANTS = {
    # The index.
    'index_fresh_header': (
        'an insert shows its slot in the header as it is now, not as it was scanned',
        'same_original', 'one owner',
        [(INDEX_HEAD, 'const BucketHeader shown = BucketHeader(seen).with(',
          'seen = buckets_[bucket].header.load(); const BucketHeader shown = BucketHeader(seen).with(')]),
    'index_slot_emptied_at_once': (
        'a removed slot is used again without a grace period: the header may read as before (ABA)',
        'recycle', 'one owner,linearizable,no false refusal,lost',
        [(INDEX, 'buckets_[place.bucket()].header.fetch_and(',
          '''const struct AtOnce {
                 Slot& slot;
                 ~AtOnce() { slot.store(0); }
             } at_once{slot(place.bucket(), place.position())};
             buckets_[place.bucket()].header.fetch_and('''),
         (INDEX, 'slot(place.bucket(), place.position()).store(0, std::memory_order_relaxed);', '')]),
    'index_shown_before_written': (
        'an entry is shown before its reference is in the slot',
        'same_original', 'one owner,linearizable',
        [(INDEX_HEAD, 'free.compare_exchange_strong(empty, ref,',
          'free.compare_exchange_strong(empty, ~SlotRef{0},'),
         (INDEX, 'return {SetupError::none, {}, {bucket, mine}};',
          '{ slot(bucket, mine).store(ref); return {SetupError::none, {}, {bucket, mine}}; }'),
         (INDEX, 'return {SetupError::none, {}, IndexPlace(bucket, mine)};',
          '{ slot(bucket, mine).store(ref); return {SetupError::none, {}, {bucket, mine}}; }')]),
    'index_slot_without_swap': (
        'two inserts take the same empty slot',
        'same_reply', 'one owner,lost,complete when live,all or nothing,no abort',
        [(INDEX_HEAD, 'free.compare_exchange_strong(empty, ref,',
          '[&](auto, auto to, auto...) { free.store(to); return true; }(empty, ref,')]),
    'index_slot_leaks': (
        'an insert that finds the tuple taken keeps the slot that it took',
        'same_original', 'no leak',
        [(INDEX, 'slot(bucket, mine).store(0,', 'slot(bucket, mine).load(')]),
    'index_remove_overwrites': (
        'a removal loads the header and stores it, in two steps',
        'same_reply', 'one owner,lost,complete when live,no abort,no leak',
        [(INDEX, 'buckets_[place.bucket()].header.fetch_and(',
          '''const auto in_two_steps = [&](std::uint64_t mask, auto...) {
                 auto& header = buckets_[place.bucket()].header;
                 header.store(header.load() & mask);
             };
             in_two_steps(''')]),
    'index_waits': (
        'an insert waits for the owner of the tuple to finish its set-up',
        'same_original', 'no worker waits',
        [(INDEX, 'if (const Found owner = scan(bucket, header, key, hash)) return',
          '''if (const Found owner = scan(bucket, header, key, hash))
             while (pool_[owner.flow].status.load() == FlowStatus::setup) {}
             if (const Found owner = scan(bucket, header, key, hash)) return'''),
         (INDEX, 'if (const Found owner = scan(bucket, header, key, hash)) {',
          '''if (const Found owner = scan(bucket, header, key, hash)) {
             while (pool_[owner.flow].status.load() == FlowStatus::setup) {}''')]),
    # Set-up.
    'live_when_claimed': (
        'a flow is live before it is filled in',
        'same_original', 'complete when live',
        [(RESERVATION, 'flow.status.store(FlowStatus::setup,',
          'flow.status.store(FlowStatus::live,')]),
    'live_before_timeout': (
        'a flow is published before its timeout is written',
        'give_up', 'complete when live',
        [(RESERVATION, 'flow.expires.store(expires,',
          'flow.status.store(FlowStatus::live); flow.expires.store(expires,')]),
    'rollback_forgets_reply': (
        'a set-up that is given up keeps its reply tuple',
        'give_up', 'all or nothing',
        [(RESERVATION, 'index.remove(place(Direction::reply));', '')]),
    'rollback_forgets_original': (
        'a set-up that is given up keeps its original tuple',
        'give_up', 'all or nothing',
        [(RESERVATION, 'index.remove(place(Direction::original));', '')]),
    'rollback_without_grace': (
        'the record of a set-up that was given up is used again at once',
        'give_up', 'reuse,no abort,no leak',
        [(RESERVATION, 'worker_.retire(id_);', 'worker_.give_back_record(id_);')]),
    # The end of a flow.
    'release_not_exclusive': (
        'two workers release the same flow',
        'release_and_reopen', 'released once,no abort',
        [(TABLE, 'return pool_[id].status.compare_exchange_strong(live, FlowStatus::ending,',
          '''auto& record = pool_[id];
             const auto store = [&](FlowStatus from, FlowStatus to, auto...) {
                 if (record.status.load() != from) return false;
                 record.status.store(to);
                 return true;
             };
             return store(live, FlowStatus::ending,''')]),
    'dead_before_removed': (
        'a flow counts as dead while it can be found: its grace period starts too early',
        'expire', 'lost,reuse',
        [(TABLE, 'live, FlowStatus::ending,', 'live, FlowStatus::dead,')]),
    'wheel_retires_half_ended': (
        'the wheel retires a flow that another worker is still releasing',
        'release_half_done', 'reuse',
        [(WORKER, 'status == FlowStatus::dead ||', 'status != FlowStatus::live ||')]),
    # Reclamation.
    'reclaimed_before_quiescence': (
        'a record is reclaimed while its grace period runs',
        'release_and_reopen', 'reuse',
        [(RETIRED, 'if (!passed_) return;', '')]),
    'grace_always_over': (
        'every grace period is over at once',
        'recycle', 'reuse',
        [(RETIRED, 'passed_ = quiescence_.passed(token_);', 'passed_ = true;')]),
    'grace_of_others': (
        'flows that retire later are reclaimed with the grace period of earlier ones',
        'recycle', 'reuse',
        [(RETIRED, 'token_ = quiescence_.start();',
          'if (token_ == 0) token_ = quiescence_.start();')]),
    'reclaim_forgets_reply': (
        'the slot of the reply tuple is never emptied',
        'recycle', 'no leak',
        [(WORKER, 'if (!rolled_back(flow))', 'if (false)')]),
    'free_stack_without_count': (
        'a pop of the free records is overtaken (ABA)',
        'free_records', 'no record twice,no leak',
        [('engine/base/free_stack.hpp', '((previous_top >> 32U) + 1) << 32U', '0ULL')]),
    # Succession.
    'heir_shown_before_written': (
        'a tuple is handed over to a flow that has not got it written in its record yet',
        'succession', 'one owner',
        [(RESERVATION, 'record().tuple(Direction::reply) = old.tuple(Direction::reply);', ''),
         (RESERVATION, 'worker_.counters().removed.add();',
          '''worker_.counters().removed.add();
             record().tuple(Direction::reply) = old.tuple(Direction::reply);''')]),
    'heir_does_not_look_again': (
        'a flow is succeeded though its client has just opened it anew',
        'client_comes_back', 'one owner',
        [(REUSE, 'if (!is_closed(policy, state, flow) || judge(flow, segment) == AtServer::may_refuse)',
          'if (judge(flow, segment) == AtServer::may_refuse)')]),
    # Ports.
    'freed_port_forgotten': (
        'the port of a flow that ended does not come back to the map',
        'ports_freed', 'exhausted means exhausted',
        [(CROWDED, 'place.map.give(port);', '{}')]),
    'freed_port_not_counted': (
        'a port comes back to the map, but not to its count',
        'ports_freed', 'exhausted means exhausted',
        [(MAP, 'count.fetch_add(1,', 'count.fetch_add(0,')]),
    'freed_port_told_too_early': (
        'the map hears of a freed port before its tuple is free',
        'ports_freed', 'all or nothing',
        [(TABLE, 'for (const IndexPlace place : record.places)',
          '''gone(record);
             for (const IndexPlace place : record.places)'''),
         (TABLE, '''counters.removed.add();
             gone(record);''', 'counters.removed.add();')]),
    'map_reused_without_grace': (
        'a map is given to another destination while somebody uses it',
        'maps_in_use', 'reuse',
        [(CROWDED, 'table_.quiescence().passed(', 'true || table_.quiescence().passed(')]),
    # Mappings.
    'mapping_joined_after_its_end': (
        'a flow joins a mapping whose last reference is gone',
        'mappings', 'mapping outlives flows,no leak',
        [(MAPPING, 'while (seen != 0) {', 'for (;;) {')]),
    'mapping_expires_under_flows': (
        'a mapping ends when its time in the wheel is over, whoever refers to it',
        'mappings', 'mapping outlives flows',
        [(MAPPINGS, 'if (count == 0) return false;', 'return false;')]),
    'reference_not_atomic': (
        'a reference is taken off in two steps',
        'mappings', 'mapping outlives flows,no leak',
        [(MAPPING, 'return references(record).fetch_sub(1, std::memory_order_acq_rel) == 1;',
          '''const auto left = references(record).load() - 1;
             references(record).store(left);
             return left == 0;''')]),
    'permission_does_not_leave': (
        'a permission keeps its reference to the mapping when it ends',
        'permissions', 'no leak',
        [(FLOW_END, 'leave_found(mapping_of_destination(record.tuple(Direction::reply)));', '')]),
    'permission_of_another': (
        'a flow to a mapping joins the permission of the one that came after it',
        'endpoint_changes_hands', 'one mapping',
        [(MAPPINGS, 'return is_live(mapping) ? SetupError::none : SetupError::pending;',
          'return SetupError::none;')]),
    # Limits.
    'source_made_twice': (
        'who makes an entry for a source does not look whether another one does',
        'sources_held', 'limits',
        [(SOURCES, 'const bool alone = wipe_others(place, *slot);', 'const bool alone = true;')]),
    'source_wipes_nothing': (
        'who makes an entry for a source leaves the marks of others as they are',
        'sources_held', 'limits',
        [(SOURCES, 'if (word.compare_exchange_weak(seen, 0, order)) break;', 'break;')]),
    'limit_read_then_counted': (
        'whether there is room is looked up first, and counted then',
        'limit_reached', 'limits',
        [(SOURCES, '''} while (!used.compare_exchange_weak(seen, seen + 1,
                      std::memory_order_release,
                      std::memory_order_relaxed));''', '''} while (false); used.fetch_add(1, std::memory_order_relaxed);''')]),
    'half_open_taken_off_twice': (
        'a mark is read, and taken away then',
        'half_open_ends', 'limits',
        [(LIMITS, 'const std::uint8_t before = flow.marks.fetch_and(rest, std::memory_order_relaxed);',
          '''const std::uint8_t before = flow.marks.load(std::memory_order_relaxed);
             flow.marks.fetch_and(rest, std::memory_order_relaxed);''')]),
    'half_open_left_at_the_end': (
        'who opens a connection anew does not see that it has ended meanwhile',
        'half_open_ends', 'limits',
        [(LIMITS, 'if (flow.status.load(std::memory_order_relaxed) != FlowStatus::live) opened(flow);',
          '')]),
    # Adoption.
    'adopted_ending_first': (
        'what was ending goes into the index together with what was live',
        'adopted', 'adopted',
        [(ADOPTION, 'if (status == FlowStatus::ending) {',
          'if (status == FlowStatus::ending) record.status.store(FlowStatus::live); else if (false) {'),
         (ADOPTION, 'if (status != FlowStatus::live) {',
          'if (status != FlowStatus::live && status != FlowStatus::ending) {')]),
    'adopted_ending_unasked': (
        'what was ending is live again, whoever has its tuples',
        'adopted', 'one owner,adopted',
        [(ADOPTION, 'if (entered != Entered::both) {', 'if (false) {')]),
    'adopted_nothing_ending': (
        'what was ending is dropped',
        'adopted', 'adopted',
        [(ADOPTION, 'enter_ending(id, judge);',
          'table_.pool()[id].status.store(FlowStatus::free);')]),
    'adopted_setup': (
        'what was being set up counts as live',
        'adopted', 'adopted,one owner',
        [(ADOPTION, 'const FlowStatus status = status_of(record);',
          '''if (status_of(record) == FlowStatus::setup) record.status.store(FlowStatus::live);
             const FlowStatus status = status_of(record);''')]),
    'adopted_ending_keeps_original': (
        'of a flow that is refused after all, the original tuple stays in the index',
        'adopted', 'one owner',
        [(ADOPTION, '''if (entered == Entered::original)
             index().reclaim_slot(removed(id, Direction::original));''', '')]),
    'adopted_conflict_keeps_original': (
        'the same, of one that was live',
        'adopted_damaged', 'one owner',
        [(ADOPTION, '''for (const FlowId id : refused)
             index().reclaim_slot(removed(id, Direction::original));''', '')]),
    'adopted_slot_taken': (
        'the slot of a tuple that was refused is not emptied',
        'adopted', 'no leak',
        [(ADOPTION, '''if (entered == Entered::original)
             index().reclaim_slot(removed(id, Direction::original));''',
          'if (entered == Entered::original) removed(id, Direction::original);')]),
    'adopted_part_of_a_chunk_lost': (
        'free records that make up no chunk are lost',
        'adopted', 'no leak',
        [(ADOPTION, 'rest.push_back(id);', '')]),
    'adopted_without_owner': (
        'a worker takes flows over that say they are another one\'s',
        'adopted', 'complete when live,adopted',
        [(ADOPTION, 'record.owner = static_cast<std::uint8_t>(worker);', '')]),
    'adopted_copy_live_too_early': (
        'a record that is moved is live before it is complete',
        'adopted_by_fewer', 'adopted,one owner',
        [(ADOPTION, 'to.tuples = from.tuples;',
          'to.tuples = from.tuples; to.status.store(status_of(from));')]),
    'adopted_dropped_in_index': (
        'a record that is dropped keeps its reply tuple',
        'adopted_mappings', 'one owner,no leak',
        [(ADOPTION, 'index().reclaim_slot(removed(id, Direction::reply));', '')]),
    'adopted_old_references': (
        'a mapping keeps the references that it had',
        'adopted_mappings', 'references,no leak',
        [(NAT_ADOPTION, 'references(record).store(is_mapping(record) && has_quarantine(record) ? 1 : 0,',
          'static_cast<void>(0,')]),
    'adopted_permission_holds_nothing': (
        'a permission does not hold its mapping',
        'adopted_permissions', 'adopted,references,mapping outlives flows',
        [(NAT_ADOPTION, 'refer_permissions();', '')]),
    'adopted_under_anothers_mapping': (
        'a flow is brought back under a mapping that is another inside endpoint\'s',
        'adopted_mappings', 'one mapping',
        [(NAT_ADOPTION, 'mapping == nullptr || !is_of(*mapping, from_inside)', 'mapping == nullptr')]),
    'adopted_old_counts': (
        'a flow keeps the marks of what counted it',
        'adopted_counts', 'limits',
        [(NAT_ADOPTION, 'flow.marks.fetch_and(rest, std::memory_order_relaxed);', '{}')]),
    'adopted_uncounted': (
        'what was adopted is not counted',
        'adopted_counts', 'limits',
        [(NAT_ADOPTION, 'if (limits.active()) count(limits);', '')]),
    # The SYN proxy.
    'proxy_retry_unclaimed': (
        'the timer sends the SYN again while another worker joins the handshakes',
        'joined_handshakes', 'one owner,lost',
        [(PROXY, 'if (!move(flow, again ? TcpState::syn_recv : TcpState::close)) return true;',
          'if (!again) static_cast<void>(move(flow, TcpState::close));')]),
    'proxy_joined_before_shift': (
        'a flow counts as joined before it says what its segments are shifted by',
        'joined_handshakes', 'lost',
        [(PROXY, 'flow.pool_link.store(cookie - answer.sequence, std::memory_order_relaxed);',
          '''move_progress(flow,
                         [](TcpProgress seen) { return seen.only(TcpState::established); });
             flow.pool_link.store(cookie - answer.sequence, std::memory_order_relaxed);''')]),
    'proxy_joined_twice': (
        'each worker with a copy of the backend\'s answer joins the handshakes',
        'joined_handshakes', 'one owner',
        [(PROXY, 'if (move(flow, TcpState::syn_recv))', 'if (move(flow, TcpState::syn_recv) || true)')]),
}


GAP = r'(?:\s|//[^\n]*\n)*'


def mutate(text: str, original: str, instead: str, where: str) -> str:
    """`text` with the one occurrence of `original` replaced."""
    tokens = GAP.join(map(re.escape, re.findall(r'\w+|[^\w\s]', original)))
    places = list(re.finditer(tokens, text))
    if len(places) != 1:
        sys.exit(f'tests/schedule/mutants.py: {where}: this text has to occur once, and occurs '
                 f'{len(places)} times; make the mutant follow the header:\n    {original}')
    return text[:places[0].start()] + instead + text[places[0].end():]


def file_of(scenario: str) -> str:
    """The file that has the scenario. A mutant is built with the scenarios of this file alone, for
    the others would take longer to compile than all the rest."""
    here = pathlib.Path(__file__).parent
    files = [file.stem for file in sorted(here.glob('*_scenarios.cpp'))
             if f'{{"{scenario}",' in file.read_text(encoding='utf-8')]
    if len(files) != 1:
        sys.exit(f'tests/schedule/mutants.py: the scenario "{scenario}" has to be in one '
                 f'*_scenarios.cpp, and is in {len(files)}; make the mutant name another')
    return files[0]


def make(name: str, root: pathlib.Path, directory: pathlib.Path, marker: pathlib.Path) -> None:
    texts: dict[str, str] = {}
    for file, original, instead in MUTANTS[name][3]:
        text = texts.get(file) or (root / file).read_text(encoding='utf-8')
        texts[file] = mutate(text, original, instead, f'{name}, {file}')
    for file, text in texts.items():
        target = directory / name / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding='utf-8')
    marker.write_text(f'// {name}: {MUTANTS[name][0]}\n', encoding='utf-8')


def fit(root: pathlib.Path) -> None:
    """Each mutant's text stands in its header, without a mutant being built."""
    for name in MUTANTS:
        with tempfile.TemporaryDirectory() as scratch:
            make(name, root, pathlib.Path(scratch), pathlib.Path(scratch) / 'marker')


def check(ninja: str, build: str, directory: str) -> None:
    """Each mutant's program lies in `directory`; the target `mutants` of `build` makes them all."""
    subprocess.run([ninja, '-C', build, 'mutants'], check=True)
    survivors = 0
    for name, (fault, scenario, checks, _) in MUTANTS.items():
        done = subprocess.run(
            [pathlib.Path(directory) / f'mutant_{name}', '--scenario', scenario,
             '--expect-failure', checks, '--seeds', '4000'],
            stdout=subprocess.PIPE, encoding='utf-8', check=False)
        if done.returncode == 0:
            caught = done.stdout.splitlines()
            print(f'{name:28} {caught[0]}\n{"":28} {caught[1].strip()}', flush=True)
        else:
            survivors += 1
            print(f'{name:28} NOT CAUGHT, exit status {done.returncode}: {fault}\n{done.stdout}',
                  flush=True)
    print(f'{len(MUTANTS) - survivors} of {len(MUTANTS)} mutants were caught')
    sys.exit(1 if survivors else 0)


def main() -> None:
    if sys.argv[1:] == ['list']:
        for name, (_, scenario, _, edits) in MUTANTS.items():
            print(name, ':'.join(sorted({edit[0] for edit in edits})), file_of(scenario), sep=';')
    elif len(sys.argv) == 6 and sys.argv[1] == 'make' and sys.argv[2] in MUTANTS:
        make(sys.argv[2], *map(pathlib.Path, sys.argv[3:]))
    elif len(sys.argv) == 3 and sys.argv[1] == 'fit':
        fit(pathlib.Path(sys.argv[2]))
    elif len(sys.argv) == 5 and sys.argv[1] == 'check':
        check(*sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
