/* SPDX-License-Identifier: Apache-2.0 */

/* What must hold in noclash.pml. Variables in this file are seen by the checks alone: no step of
 * the protocol depends on them, but for a packet's giving up behind a stalled worker. */

mtype outcome[WORKERS];
byte used[WORKERS]; /* the flow that each packet was translated by */
byte busy;          /* threads with something to do, as bits */
byte stalled_ones;  /* of these, who never go on */
byte stalls;
byte aborts;
byte free_since[WORKERS]; /* reply tuples that were free all the time since the search began */
#ifdef MAP
byte in_hand[WORKERS] = no_tuple; /* taken out of the map, not yet proposed */
#endif

/* What must never become true; the names appear in Spin's messages. */
bool first_packet_lost;
bool foreign_flow_used;
bool incomplete_flow_used;
bool removed_what_another_owns;
bool live_without_its_tuples;
bool exhausted_while_free;
bool connection_split;
bool record_leaked;
bool tuple_leaked;
#ifdef REACH
bool reached;
#endif

#define is_stalled(thread) (stalled_ones & bit(thread))

#if STALLS
#define may_stall                                                           \
    :: atomic {                                                             \
           stalls < STALLS -> stalls++;                                     \
           stalled_ones = stalled_ones | bit(me);                           \
           printf("@thread %d|stalls for ever\n", me);                      \
           goto stalled                                                     \
       }
#else
#define may_stall
#endif

#if ABORTS
#define may_abort                                                           \
    :: atomic {                                                             \
           aborts < ABORTS -> aborts++;                                     \
           printf("@worker %d|aborts\n", me);                               \
           finish(aborted);                                                 \
           goto roll_back                                                   \
       }
#else
#define may_abort
#endif

inline finish(what) {
    outcome[me] = what;
    free_since[me] = 0;
    /* A packet is translated or dropped for a reason of its own, never for a clash. */
    assert(!first_packet_lost);
#ifdef REACH
    reached = outcome[me] == REACH;
    assert(!reached)
#endif
}

/* A reader acts on a complete flow, and one that is its own. */
inline check_use(id) {
#ifdef OPPOSITE
    foreign_flow_used = flow[id].original != original && flow[id].reply != original;
#else
    foreign_flow_used = flow[id].original != original;
#endif
    assert(!foreign_flow_used);
    incomplete_flow_used = !flow[id].filled || flow[id].reply == no_tuple;
    assert(!incomplete_flow_used);
    used[me] = id
}

/* One owner for each tuple: a flow goes live as the owner of both of its own. */
inline check_publish(id) {
    live_without_its_tuples =
        index[flow[id].original] != id || flow[id].reply == no_tuple || index[flow[id].reply] != id;
    assert(!live_without_its_tuples)
}

inline search_begins(who) {
    byte t;
    for (t : ORIGINALS .. TUPLES - 1) {
        if
        :: index[t] == none -> free_since[who] = free_since[who] | bit(t)
        :: else
        fi
    }
    t = 0
}

/* The reply tuple has an owner from now on. */
inline search_ends(who, tuple) {
    byte w;
    free_since[who] = 0;
    for (w : 0 .. WORKERS - 1) {
        free_since[w] = free_since[w] & ~bit(tuple)
    }
    w = 0
}

#ifdef MAP
#define is_in_hand(t) (in_hand[0] == t || in_hand[WORKERS / 2] == t || in_hand[WORKERS - 1] == t)
#ifdef HAND_COUNTS_AS_FREE
#define held_otherwise(t) (giving_back[t])
#else
#define held_otherwise(t) (is_in_hand(t) || giving_back[t])
#endif
bool giving_back[TUPLES];
#else
#define held_otherwise(t) false
#endif

/* `exhausted` is never said of a packet for which a tuple was free all the time that it searched.
 * If nothing is ever given back, none is free now either. With the map: each tuple has an owner, or
 * is in the hand of a worker that is about to propose it, or is just being given back. */
inline check_exhausted(who) {
#ifndef MAP
    exhausted_while_free = free_since[who] != 0;
    assert(!exhausted_while_free);
#endif
#if !RELEASERS && !ABORTS || defined(MAP)
    byte e;
    for (e : ORIGINALS .. TUPLES - 1) {
        exhausted_while_free = exhausted_while_free || index[e] == none && !held_otherwise(e)
    }
    e = 0;
    assert(!exhausted_while_free)
#endif
}

#define settled ((busy & ~stalled_ones) == 0 && (stalled_ones || nothing_retired))

#define on_its_way_out(id) (flow[id].status == dead || flow[id].retired)
#define nothing_retired                                                     \
    !(on_its_way_out(1) || on_its_way_out(FLOWS) ||                         \
      on_its_way_out((FLOWS + 1) / 2) || on_its_way_out((FLOWS + 2) / 2)) /* FLOWS <= 4 */

#ifdef OPPOSITE
#define same_connection(a, b) true
#else
#define same_connection(a, b) (a % ORIGINALS == b % ORIGINALS)
#endif

inline check_end() {
    byte a, b;
    for (a : 0 .. WORKERS - 1) {
        assert(outcome[a] != pending || is_stalled(a));
#if !RELEASERS
        /* Packets of one connection go through one flow; unless it ended and another began. */
        for (b : 0 .. WORKERS - 1) {
            connection_split = connection_split ||
                outcome[a] == translated && outcome[b] == translated &&
                same_connection(a, b) && used[a] != used[b]
        }
#endif
#if !RELEASERS && !ABORTS && !STALLS
        /* Whoever was told `exhausted` would be told so again. */
        for (b : ORIGINALS .. TUPLES - 1) {
            exhausted_while_free = exhausted_while_free ||
                outcome[a] == exhausted && index[b] == none
        }
#endif
    }
    assert(!connection_split);
    assert(!exhausted_while_free);
    /* All or nothing: a live flow has both its tuples, any other has none and is free again, but
     * for what a stalled thread holds, or keeps from being reclaimed. */
    for (a : 1 .. FLOWS) {
        if
        :: flow[a].status == live -> check_publish(a)
        :: flow[a].status == free
        :: else ->
            record_leaked = !is_stalled(flow[a].busy_by) &&
                !(stalled_ones && on_its_way_out(a));
            assert(!record_leaked)
        fi
    }
    for (a : 0 .. TUPLES - 1) {
        if
        :: index[a] == none
        :: else ->
            tuple_leaked = flow[index[a]].original != a && flow[index[a]].reply != a ||
                flow[index[a]].status != live && !is_stalled(flow[index[a]].busy_by);
            assert(!tuple_leaked)
        fi
    }
}
