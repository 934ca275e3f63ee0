/* SPDX-License-Identifier: Apache-2.0 */

/* The end of flows: FlowTable::release, and the reclamation of records (engine/retired.hpp).
 *
 * A thread is in a critical section from `enter` to `leave`, its quiescent state. A grace period
 * ends when all threads that were in one when it began have left it. Threads between two packets
 * count as quiescent at once: that lets records be reused earlier than rte_rcu_qsbr would, never
 * later. Likewise a record is reclaimed by anyone at any moment after its grace period, not by its
 * owner at its next round. */

byte in_section; /* threads, as bits */

inline enter(who) {
    in_section = in_section | bit(who)
}

inline leave(who) {
    byte l;
    in_section = in_section & ~bit(who);
    for (l : 1 .. FLOWS) {
        flow[l].waits = flow[l].waits & ~bit(who)
    }
    l = 0
}

/* Only a flow that cannot be found any more. */
inline retire(id) {
    flow[id].retired = true;
#ifndef RELEASE_BEFORE_QUIESCENCE
    flow[id].waits = in_section
#endif
}

inline free_record(id) {
    flow[id].status = free; /* and else as it was, until the next one takes it */
    flow[id].retired = false
}

proctype reclaimer(byte id) {
end_idle:
    do
    :: atomic {
           flow[id].status == dead && !flow[id].retired ->
           retire(id)
       }
    :: atomic {
           flow[id].retired && flow[id].waits == 0 ->
           printf("@reclaim|flow %d is free again\n", id);
           free_record(id)
       }
    od
}

#if RELEASERS
/* Ends one flow, if it comes upon a live one: expiry on a worker, or another thread. */
proctype releaser(byte me) {
    byte id;

end_idle:
    if
    :: atomic { flow[1].status == live -> id = 1 }
#if FLOWS > 1
    :: atomic { flow[2].status == live -> id = 2 }
#endif
#if FLOWS > 2
    :: atomic { flow[3].status == live -> id = 3 }
#endif
    fi;
    if
    :: atomic {
           enter(me);
           busy = busy | bit(me);
           if
           :: flow[id].status == live -> printf("@release %d|flow %d is live\n", me, id)
           :: else -> goto done
           fi
       }
    may_stall
    fi;
    if
    :: atomic {
           if
#ifndef RELEASE_NOT_EXCLUSIVE
           :: flow[id].status != live ->
               printf("@release %d|somebody else ends flow %d\n", me, id);
               goto done
#endif
           :: else ->
               flow[id].status = ending;
               flow[id].busy_by = me;
               printf("@release %d|flow %d is ending\n", me, id)
           fi
       }
    may_stall
    fi;
    if
    :: atomic { remove(flow[id].original, id); printf("@release %d|original tuple gone\n", me) }
    may_stall
    fi;
#ifdef GIVE_BEFORE_REMOVE
    map = map | bit(flow[id].reply);
#endif
    if
    :: atomic {
           remove(flow[id].reply, id);
           printf("@release %d|t%d gone\n", me, flow[id].reply)
#if defined(MAP) && !defined(GIVE_BEFORE_REMOVE)
           ; giving_back[flow[id].reply] = true
       }
    may_stall
    fi;
    if
    :: atomic {
           giving_back[flow[id].reply] = false;
           map = map | bit(flow[id].reply)
#endif
       }
    may_stall
    fi;
    if
    :: atomic { flow[id].status = dead; printf("@release %d|flow %d is dead\n", me, id) }
    may_stall
    fi;

done:
    atomic { leave(me); busy = busy & ~bit(me); id = 0; goto gone }
stalled:
end_stalled:
    false;
gone:
    skip
}
#endif
