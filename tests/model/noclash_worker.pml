/* SPDX-License-Identifier: Apache-2.0 */

/* A worker and its packet, as Pipeline::decide and Reservation have it. At each step it may stall
 * for ever, and after its claim it may give up. */

inline take_record() {
    mine = 1;
    do
    :: mine <= FLOWS && flow[mine].status != free -> mine++
    :: else -> break
    od;
    if
    :: mine > FLOWS -> mine = none
    :: else ->
        flow[mine].status = setup;
        flow[mine].original = original;
        flow[mine].reply = no_tuple;
        flow[mine].filled = false;
        flow[mine].busy_by = me
    fi
}

inline propose() {
    if
    :: (candidates & bit(ORIGINALS)) -> tuple = ORIGINALS
#if REPLIES > 1
    :: (candidates & bit(ORIGINALS + 1)) -> tuple = ORIGINALS + 1
#endif
#if REPLIES > 2
    :: (candidates & bit(ORIGINALS + 2)) -> tuple = ORIGINALS + 2
#endif
    fi;
    candidates = candidates & ~bit(tuple)
}

proctype worker(byte me) {
    byte original = me % ORIGINALS;
    byte mine, found, tuple;
#ifndef MAP
    byte candidates; /* reply tuples that this visit has not tried */
#endif

look_up:
    if
    :: atomic {
           enter(me);
           found = index[original];
           if
           :: found == none -> printf("@worker %d|find: nothing\n", me); goto claim
           :: else -> printf("@worker %d|find: flow %d\n", me, found)
           fi
       }
    may_stall
    fi;

hit:
    if
    :: atomic {
           if
           :: flow[found].status == live -> printf("@worker %d|flow %d is live\n", me, found)
           :: else ->
               printf("@worker %d|flow %d is %e: park\n", me, found, flow[found].status);
               leave(me);
#ifdef DROP_INSTEAD_OF_PARK
               first_packet_lost = true;
               finish(lost);
               goto done
#else
               goto park
#endif
           fi
       }
    may_stall
    fi;
    if
    :: atomic {
           printf("@worker %d|translate as flow %d says\n", me, found);
           check_use(found);
           leave(me);
           finish(translated);
           goto done
       }
    may_stall
    fi;

park:
    /* Every poll looks the tuple up again. Those that find things unchanged change nothing, so the
     * model waits for a change. A set-up in progress ends within the 100 ms that a packet may wait,
     * unless its worker stalls: only then is waiting given up. */
    if
    :: index[original] != found || flow[found].status == live -> goto look_up
    :: atomic {
           index[original] == found && is_stalled(flow[found].busy_by) ->
           printf("@worker %d|waited too long: drop\n", me);
           finish(park_timeout);
           goto done
       }
    fi;

claim:
    if
    :: atomic {
           take_record();
           if
           :: mine == none ->
               printf("@worker %d|no record is free: drop\n", me);
               leave(me);
               finish(table_full);
               goto done
           :: else -> printf("@worker %d|take record %d\n", me, mine)
           fi
       }
    may_stall
    fi;
    if
    :: atomic {
           insert_if_absent(original, mine, found);
           if
           :: found == none -> printf("@worker %d|claim: flow %d\n", me, mine)
           :: else ->
               printf("@worker %d|claim: taken by flow %d\n", me, found);
               free_record(mine); /* nobody has seen it */
               mine = none;
               goto hit
           fi;
#ifndef MAP
           candidates = reply_tuples;
#endif
           search_begins(me)
       }
    may_stall
    fi;

#ifdef OPPOSITE
    if
    :: atomic {
           tuple = 1 - original;
           insert_if_absent(tuple, mine, found);
           if
           :: found == none ->
               flow[mine].reply = tuple;
               printf("@worker %d|reserve t%d\n", me, tuple);
               search_ends(me, tuple);
               goto fill
           :: else -> printf("@worker %d|t%d is taken by flow %d\n", me, tuple, found)
           fi
       }
    may_abort
    may_stall
    fi;
    if
    :: atomic {
           if
           :: flow[found].status != live && flow[found].original == tuple ->
               printf("@worker %d|flow %d is my own connection, %e: park\n", me, found,
                      flow[found].status);
               goto roll_back /* and then looks up again: the outcome is pending */
           :: else
           fi
       }
    may_stall
    fi;
#endif
reserve:
    if
    :: atomic {
           if
           :: candidates == 0 ->
               printf("@worker %d|no reply tuple is left: exhausted\n", me);
               check_exhausted(me);
               finish(exhausted);
               goto roll_back
           :: else -> propose()
           fi;
#ifdef MAP
           in_hand[me] = tuple;
           printf("@worker %d|take t%d out of the map\n", me, tuple)
       }
    may_abort
    may_stall
    fi;
    if
    :: atomic {
           in_hand[me] = no_tuple;
#endif
           insert_if_absent(tuple, mine, found);
           if
           :: found == none ->
               flow[mine].reply = tuple;
               printf("@worker %d|reserve t%d\n", me, tuple);
               search_ends(me, tuple);
           :: else ->
               printf("@worker %d|t%d is taken by flow %d\n", me, tuple, found);
               goto reserve
           fi
       }
    may_abort
    may_stall
    fi;

fill:
#ifndef PUBLISH_BEFORE_FILL
    if
    :: atomic { flow[mine].filled = true; printf("@worker %d|fill in\n", me) }
    may_abort
    may_stall
    fi;
#endif
    if
    :: atomic {
           flow[mine].status = live;
           printf("@worker %d|publish\n", me);
           check_publish(mine)
       }
    may_abort
    may_stall
    fi;
#ifdef PUBLISH_BEFORE_FILL
    if
    :: atomic { flow[mine].filled = true; printf("@worker %d|fill in\n", me) }
    may_stall
    fi;
#endif
    atomic {
        used[me] = mine;
        leave(me);
        finish(translated);
        goto done
    }

roll_back: /* ~Reservation */
#ifndef NO_ROLLBACK
    if
    :: atomic { remove(original, mine); printf("@worker %d|give the claim back\n", me) }
    may_stall
    fi;
    if
    :: atomic {
           if
           :: flow[mine].reply != no_tuple ->
               remove(flow[mine].reply, mine);
               printf("@worker %d|give t%d back\n", me, flow[mine].reply);
               flow[mine].status = dead
           :: else /* `setup` remains */
           fi;
           leave(me);
           retire(mine)
       }
    may_stall
    fi;
#ifdef OPPOSITE
    mine = none;
    if
    :: outcome[me] == pending -> goto look_up
    :: else
    fi;
#endif
#else
    leave(me);
#endif

done:
    atomic { busy = busy & ~bit(me); goto gone }
stalled:
    /* Whoever waits for it waits for ever. */
end_stalled:
    false;
gone:
    skip
}
