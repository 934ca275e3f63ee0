/* SPDX-License-Identifier: Apache-2.0 */

/* Claim, reserve, publish, park: how workers set flows up without losing a first packet.
 * The steps are those of Reservation (engine/reservation.hpp) and Pipeline (nat/pipeline.hpp); one
 * step of the model is at most one access to what workers share. `find`, `insert` and `remove` of
 * the tuple index are one step each: bucket.pml shows why that is right.
 *
 * Each worker has one packet (noclash_worker.pml), the first of its connection as far as it knows.
 * Beside them there are threads that end live flows, and the reclamation of records after a grace
 * period (noclash_release.pml). What must hold is in noclash_check.pml.
 *
 * -DWORKERS=n       1 .. 3, default 3
 * -DORIGINALS=n     original tuples: worker w's packet has number w % n, default 1
 * -DREPLIES=n       reply tuples that every packet may be given, default 2
 * -DFLOWS=n         records, 1 .. 4, default one for each worker
 * -DABORTS=n        so many set-ups end at any step after the claim, and are rolled back
 * -DSTALLS=n        so many threads stop at any step and never go on
 * -DRELEASERS=n     threads that end one flow each: expiry, `noclashctl flows flush`
 * -DOPPOSITE        ORIGINALS=2: packets from both sides open one connection at the same time, and
 *                   keep their source (RFC 5382-2): one's original tuple is the other's reply tuple
 * -DMAP             proposals come out of the destination's occupancy map (nat/ports/occupancy_map.hpp);
 *                   without ABORTS: between taking out and proposing nothing can fail
 * -DHAND_COUNTS_AS_FREE  a tuple that was taken out of the map and not yet proposed is no excuse
 *                   for `exhausted`
 * -DREACH=outcome   is violated when a packet ends so: the checks are not vacuous
 * Mutations, which must be refuted: PUBLISH_BEFORE_FILL, NO_ROLLBACK, DROP_INSTEAD_OF_PARK,
 * RELEASE_BEFORE_QUIESCENCE, RELEASE_NOT_EXCLUSIVE, GIVE_BEFORE_REMOVE.
 */

#ifndef WORKERS
#define WORKERS 3
#endif
#ifndef ORIGINALS
#define ORIGINALS 1
#endif
#ifndef REPLIES
#define REPLIES 2
#endif
#ifndef FLOWS
#define FLOWS WORKERS
#endif
#ifndef ABORTS
#define ABORTS 0
#endif
#ifndef STALLS
#define STALLS 0
#endif
#ifndef RELEASERS
#define RELEASERS 0
#endif

#define bit(n) (1 << (n))
#define none 0
#define no_tuple 255

/* Tuples are numbered: the original ones, then the reply tuples. */
#define TUPLES (ORIGINALS + REPLIES)
#define reply_tuples ((bit(REPLIES) - 1) << ORIGINALS)
byte index[TUPLES]; /* tuple -> flow, or none */

mtype = { free, setup, live, ending, dead };
mtype = { pending, translated, exhausted, table_full, aborted, park_timeout, lost };

typedef Flow {
    mtype status = free;
    byte original = no_tuple;
    byte reply = no_tuple;
    bool filled;   /* rule, state, expires: all that is written before it is published */
    bool retired;  /* its grace period runs */
    byte waits;    /* for these threads' quiescent state */
    byte busy_by;  /* who sets it up or ends it; for the checks only */
};
Flow flow[FLOWS + 1]; /* 0 is none */

#ifdef MAP
byte map = reply_tuples; /* reply tuples that may be free */
#define candidates map
#endif

#include "noclash_check.pml"

inline insert_if_absent(tuple, id, owner) {
    owner = index[tuple];
    if
    :: owner == none -> index[tuple] = id
    :: else
    fi
}

inline remove(tuple, id) {
    removed_what_another_owns = index[tuple] != id;
    assert(!removed_what_another_owns);
    index[tuple] = none
}

#include "noclash_release.pml"
#include "noclash_worker.pml"

init {
    byte i;
    atomic {
        busy = bit(WORKERS) - 1;
        for (i : 1 .. FLOWS) {
            run reclaimer(i)
        }
#if RELEASERS
        for (i : 1 .. RELEASERS) {
            run releaser(WORKERS + i - 1)
        }
#endif
        for (i : 1 .. WORKERS) {
            outcome[WORKERS - i] = pending;
            run worker(WORKERS - i)
        }
        i = 0
    }
    /* Everyone who did not stall comes to an end: if not, Spin reports an invalid end state. */
    atomic {
        settled;
        check_end();
        i = 0
    }
}
