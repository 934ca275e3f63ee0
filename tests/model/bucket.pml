/* SPDX-License-Identifier: Apache-2.0 */

/* The tuple index's bucket (engine/tuple_index.hpp, engine/index_bucket.hpp): a header word that
 * says which slots are shown, and slots that hold references. There is no version in the header:
 * one that reads as before shows the same slots, and these hold the same references, because a slot
 * is emptied only after a grace period. This model is the proof of that.
 *
 * Workers find, insert and remove for ever, each operation in a critical section of its own. One
 * step is one access to the header or to one slot. A reference is as good as its key here: which of
 * several records of the same key a slot refers to does not matter to the protocol. All keys have
 * the same hash bits, so that only the records tell them apart.
 *
 * -DWORKERS=n      default 2
 * -DFINDERS=n      of these, so many that only find, default 0
 * -DSLOTS=n        1 .. 3, default 2
 * -DKEYS=n         default 2
 * -DCOUNT_SCANS    checks the bound of an insert's loop too
 * -DINSERTS_ONLY   nobody looks at what is found: leaves `key_shown_twice` to be violated
 * Mutations, which must be refuted: NO_GRACE (a slot is emptied as soon as it is hidden, and the
 * header that comes back is the ABA that a version would catch), BLIND_CAS (the swap compares with
 * a fresh header, not with the scanned one), SHOW_BEFORE_WRITE.
 */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef FINDERS
#define FINDERS 0
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef KEYS
#define KEYS 2
#endif

#define bit(n) (1 << (n))
#define nowhere SLOTS

byte header;        /* the shown slots, as bits */
byte slot[SLOTS];   /* a reference to a record with this key; 0 is empty */
byte taken_out;     /* slots that somebody removes, or that wait for reclamation, as bits */
byte retired;       /* of these, those that wait */
byte waits[SLOTS];  /* for these workers' quiescent state */
byte in_section;    /* workers in a critical section, as bits */

/* What must never become true; the names appear in Spin's messages. */
bool key_shown_twice;
bool wrong_answer;   /* other than what held when the header was loaded */
bool foreign_record; /* a reference changed while its reader held it */
bool removed_what_is_not_shown;
bool too_many_scans;

inline enter() {
    in_section = in_section | bit(me)
}

inline leave() {
    in_section = in_section & ~bit(me);
    for (at : 0 .. SLOTS - 1) {
        waits[at] = waits[at] & ~bit(me)
    }
    seen = 0;
    at = 0;
    key = 0;
    truth = nowhere;
#ifdef COUNT_SCANS
    scans = 0;
#endif
    goto idle
}

/* Where `key` is shown at this moment: what an operation that takes effect now has to answer. */
inline look_for_truth() {
    truth = 0;
    do
    :: truth < SLOTS && !((header & bit(truth)) && slot[truth] == key) -> truth++
    :: else -> break
    od
}

inline load_header() {
    seen = header;
    at = 0;
    look_for_truth();
    printf("@worker %d|key %d: header shows %d\n", me, key, seen)
}

inline choose_key() {
    if
    :: key = 1
#if KEYS > 1
    :: key = 2
#endif
    fi
}

/* One step for each slot that the loaded header shows. */
#define scan_next(label_found, label_absent)                                    \
    atomic {                                                                    \
        do                                                                      \
        :: at < SLOTS && !(seen & bit(at)) -> at++                              \
        :: else -> break                                                        \
        od;                                                                     \
        if                                                                      \
        :: at == SLOTS -> goto label_absent                                     \
        :: else                                                                 \
        fi;                                                                     \
        printf("@worker %d|slot %d holds key %d\n", me, at, slot[at]);          \
        if                                                                      \
        :: slot[at] == key -> goto label_found                                  \
        :: else -> at++                                                         \
        fi                                                                      \
    }

proctype worker(byte me) {
    byte key, seen, at;
    byte mine = nowhere;
    byte truth = nowhere; /* for the checks only */
#ifdef COUNT_SCANS
    byte scans;
#endif

end_idle:
idle:
    if
#ifndef INSERTS_ONLY
    :: atomic { choose_key(); enter(); load_header(); goto find }
#endif
#if FINDERS
    :: atomic { me >= FINDERS -> choose_key(); enter(); load_header(); goto insert }
#else
    :: atomic { choose_key(); enter(); load_header(); goto insert }
#endif
    :: atomic {
           me >= FINDERS && (header & ~taken_out) != 0 ->
           at = 0;
           do
           :: at < SLOTS && !((header & ~taken_out) & bit(at)) -> at++
           :: at < SLOTS - 1 && ((header & ~taken_out) >> (at + 1)) != 0 -> at++
           :: else -> break
           od;
           if
           :: !((header & ~taken_out) & bit(at)) -> at = 0; goto idle
           :: else
           fi;
           taken_out = taken_out | bit(at); /* one remover: FlowTable::release sees to that */
           enter();
           key = slot[at];
           goto remove
       }
    fi;

find:
    do
    :: scan_next(found, not_found)
    od;
found:
    /* Acts on the record, then is quiescent. */
    atomic {
#ifdef INSERTS_ONLY
        leave();
#endif
        wrong_answer = truth != at;
        assert(!wrong_answer);
        foreign_record = slot[at] != key;
        assert(!foreign_record);
        leave()
    }
not_found:
    atomic {
        wrong_answer = truth != nowhere;
        assert(!wrong_answer);
        leave()
    }

insert:
    do
    :: scan_next(taken, absent)
    od;
taken:
    if
    :: atomic {
           mine != nowhere ->
           printf("@worker %d|taken: give slot %d back\n", me, mine);
           slot[mine] = 0; /* at once: it was never shown */
           mine = nowhere
       }
    :: mine == nowhere
    fi;
    goto found;
absent:
    if
    :: mine != nowhere
    :: atomic {
           mine == nowhere ->
#ifndef INSERTS_ONLY
           wrong_answer = truth != nowhere;
           assert(!wrong_answer);
#endif
           if
           :: slot[0] == 0 -> mine = 0
#if SLOTS > 1
           :: slot[1] == 0 -> mine = 1
#endif
#if SLOTS > 2
           :: slot[2] == 0 -> mine = 2
#endif
           :: else -> goto no_room
           fi;
#ifdef SHOW_BEFORE_WRITE
           slot[mine] = KEYS + 1; /* taken, but the reference is not there yet */
#else
           slot[mine] = key;
#endif
           printf("@worker %d|takes slot %d for key %d\n", me, mine, key)
       }
    fi;
    atomic {
        if
#ifdef BLIND_CAS
        :: true ->
#else
        :: header == seen ->
#endif
            look_for_truth();
            key_shown_twice = truth != nowhere;
            header = header | bit(mine);
            printf("@worker %d|shows slot %d with key %d\n", me, mine, key);
            assert(!key_shown_twice)
        :: else ->
            printf("@worker %d|the header has changed\n", me);
            goto again
        fi
    }
#ifdef SHOW_BEFORE_WRITE
    slot[mine] = key;
#endif
    atomic {
        mine = nowhere;
        leave()
    }
again:
    atomic {
#ifdef COUNT_SCANS
        scans++;
        too_many_scans = scans > 2 * SLOTS; /* the first one is not counted */
        assert(!too_many_scans);
#endif
        load_header();
        goto insert
    }
no_room:
    atomic { printf("@worker %d|no slot is empty\n", me); leave() }

remove:
    atomic {
        removed_what_is_not_shown = !(header & bit(at)) || slot[at] != key;
        assert(!removed_what_is_not_shown);
        header = header & ~bit(at);
        printf("@worker %d|hides slot %d with key %d\n", me, at, key);
        retired = retired | bit(at);
#ifndef NO_GRACE
        waits[at] = in_section;
#endif
        leave()
    }
}

/* FlowWorker::reclaim: empties a slot when its grace period is over. */
proctype reclaimer(byte at) {
end_idle:
    do
    :: atomic {
           (retired & bit(at)) && waits[at] == 0 ->
           printf("@reclaim|slot %d is empty again\n", at);
           slot[at] = 0;
           retired = retired & ~bit(at);
           taken_out = taken_out & ~bit(at)
       }
    od
}

init {
    byte i;
    atomic {
        for (i : 0 .. SLOTS - 1) {
            run reclaimer(i)
        }
        for (i : 1 .. WORKERS) {
            run worker(WORKERS - i)
        }
        i = 0
    }
}
