/* SPDX-License-Identifier: Apache-2.0 */

/* Check, then confirm: how netfilter makes a connection with NAT. Each of two CPUs has the first
 * packet of a connection. A new entry is private to its packet from the lookup to the confirmation;
 * the confirmation is atomic (the kernel holds the locks of both hash buckets), and so is each look
 * at the table before it. What lies between is not.
 *
 * -DCPUS=n         default 2
 * -DTUPLES=n       reply tuples that NAT may choose from (ports of the pool, or backends): 1 or 2,
 *                  default 2
 * -DSAME_ORIGINAL  both packets have the same original tuple (A and AAAA query on one socket)
 * -DRESOLVE=n      what the confirmation does about a clash:
 *     DROP    insert_failed: TCP always; every protocol before clash resolution came
 *     ADOPT   the loser takes over the winner's entry if it has the same tuples ("introduce clash
 *             resolution on insertion race", and for NAT "resolve clash for matching conntracks")
 *     INSERT  and else, if its reply tuple is free, is inserted for its replies only, for a second
 *             ("allow insertion of clashing entries")
 */

#define DROP 0
#define ADOPT 1
#define INSERT 2

#ifndef CPUS
#define CPUS 2
#endif
#ifndef TUPLES
#define TUPLES 2
#endif
#ifndef RESOLVE
#define RESOLVE DROP
#endif

#ifdef SAME_ORIGINAL
#define original_of(cpu) 0
#else
#define original_of(cpu) (cpu)
#endif

#define nobody 255

/* The table of confirmed entries. An entry is named by the CPU whose packet made it. */
byte by_original[CPUS];
byte by_reply[TUPLES];
byte reply_of[CPUS]; /* the reply tuple that each packet was sent with */

bool first_packet_lost = false;
bool sent_to_different_backends = false;

#define free_tuple (by_reply[0] == nobody || by_reply[TUPLES - 1] == nobody)

/* What a trail shows: @who|step|table; an entry is a CPU's number, 255 is nobody. */
#define table_text "t0: %d, t1: %d\n", by_reply[0], by_reply[TUPLES - 1]

inline sent(by) {
    reply_of[cpu] = reply_of[by];
    reply = 0;
    clash = 0
}

proctype packet(byte cpu) {
    byte original = original_of(cpu);
    byte reply, clash;

    /* nf_conntrack_in: is there a confirmed entry? */
    atomic {
        clash = by_original[original];
        if
        :: clash != nobody ->
            printf("@CPU %d|look up: entry of CPU %d, use it|", cpu, clash);
            printf(table_text);
            sent(clash);
            goto done
        :: else ->
            printf("@CPU %d|look up: nothing confirmed; make a private entry|", cpu);
            printf(table_text)
        fi
    }

    /* nf_nat_setup_info: a reply tuple that no *confirmed* entry has. */
    atomic {
        if
        :: by_reply[0] == nobody -> reply = 0
        :: by_reply[TUPLES - 1] == nobody -> reply = TUPLES - 1
        :: !free_tuple ->
            printf("@CPU %d|choose: none is free|", cpu);
            printf(table_text);
            goto done
        fi;
        printf("@CPU %d|choose: t%d is free|", cpu, reply);
        printf(table_text)
    }

    /* __nf_conntrack_confirm, under the buckets' locks. */
    atomic {
        if
        :: by_original[original] == nobody && by_reply[reply] == nobody ->
            by_original[original] = cpu;
            by_reply[reply] = cpu;
            reply_of[cpu] = reply;
            printf("@CPU %d|confirm: t%d is mine|", cpu, reply);
            printf(table_text);
            goto done
        :: else
        fi;
        /* nf_ct_resolve_clash */
        clash = by_original[original];
        if
        :: RESOLVE >= ADOPT && clash != nobody && reply_of[clash] == reply ->
            printf("@CPU %d|confirm: clash, adopt the entry of CPU %d|", cpu, clash);
            printf(table_text);
            sent(clash)
        :: RESOLVE == INSERT && by_reply[reply] == nobody ->
            by_reply[reply] = cpu;
            reply_of[cpu] = reply;
            printf("@CPU %d|confirm: clash, inserted with t%d for a second|", cpu, reply);
            printf(table_text);
            sent_to_different_backends = true
        :: else ->
            printf("@CPU %d|confirm: **clash, dropped, insert_failed**|", cpu);
            printf(table_text);
            /* It could have had another tuple, or the entry that its connection has by now. */
            first_packet_lost = free_tuple || clash != nobody
        fi;
        assert(!first_packet_lost);
        assert(!sent_to_different_backends)
    }
done:
    skip
}

init {
    byte i;
    atomic {
        for (i : 0 .. CPUS - 1) {
            by_original[i] = nobody;
            reply_of[i] = nobody
        }
        for (i : 0 .. TUPLES - 1) {
            by_reply[i] = nobody
        }
        for (i : 1 .. CPUS) {
            run packet(CPUS - i)
        }
    }
}
