/* SPDX-License-Identifier: Apache-2.0 */

/* The end of a TCP connection between a client C and a server S, as a gateway G in the middle sees
 * it. G may give the connection's tuple to another client as soon as it calls the connection over.
 * Then each end must have received all data and the FIN of the other. Whether an end has heard of
 * that is another matter: a last ACK that is lost behind G leaves its receiver in LAST_ACK.
 *
 * A sequence number stands for one unit of data, the last one for the FIN. Each end sends when it
 * likes, so either may close first, both at once, or one while data flows on from the other.
 *
 * A segment that G sees is any piece of what its sender has sent so far: data, data with FIN, FIN,
 * or an ACK alone, with any acknowledgment that its sender may have given so far. So whatever was
 * sent may reach G at any time, any number of times, in any order, or never: loss, duplication,
 * retransmission and reordering before G have no bound. Nor have they behind G: of what G has sent
 * on, the receiver takes what comes next, now, later or never, and an acknowledgment likewise.
 *
 * Resets are left out: G calls a reset connection over only after a silence, and a model without
 * time knows none.
 *
 * -DDATA=n     units of data that each end sends before its FIN, at most; default 2
 * -DWINDOW=n   units that each end may send without an answer, default 2
 * -DRULE=n     when G calls the connection over:
 *     FLAGS    a table of states says so, as netfilter's: FIN, FIN, ACK, whichever end sent them
 *     SIDES    each side has sent a FIN, and later the other side any ACK
 *     NUMBERS  each side has sent a FIN, and the other side an acknowledgment that covers it;
 *              segments that do not fit the windows count for nothing (the default)
 *     LATE     likewise, but G knows no windows, and remembers nothing from before the first FIN
 * -DKNOWN=n    what G takes for the windows: too small a value is a mutation; default WINDOW
 * -DREACH      leaves `reached` to be violated: the connection comes to be over at all
 */

#define FLAGS 0
#define SIDES 1
#define NUMBERS 2
#define LATE 3

#ifndef DATA
#define DATA 2
#endif
#ifndef WINDOW
#define WINDOW 2
#endif
#ifndef KNOWN
#define KNOWN WINDOW
#endif
#ifndef RULE
#define RULE NUMBERS
#endif

#define other(side) (1 - (side))
#define bit(unit) (1 << (unit))

/* The ends, and the way from G to them. */
byte all[2];       /* units of data, and the FIN */
byte sent[2];
byte received[2];
byte answered[2];  /* what it knows that the other end has received */
byte forwarded[2]; /* units of this sender that G has sent on, as bits */
byte promised[2];  /* the greatest acknowledgment of this sender that G has sent on */

/* What G knows of each side. */
byte state;        /* FLAGS */
bool finished[2];  /* SIDES: has sent a FIN */
bool answers[2];   /* SIDES: has sent an ACK after the other's FIN */
byte end[2];       /* NUMBERS, LATE: one past the last number that it has used */
byte said[2];      /* its last acknowledgment */
byte fin_end[2];   /* one past its FIN; 0 is no FIN */
bool over;

/* What must never become true; the names appear in Spin's messages. */
bool live_tuple_given_away;
bool closed_but_never_over;
#ifdef REACH
bool reached;
#endif

#define ESTABLISHED 0
#define FIN_WAIT 1
#define CLOSE_WAIT 2
#define LAST_ACK 3
#define TIME_WAIT 4

/* A segment has the numbers `from` up to, and without, `to`. */
#define has_fin (to > from && to == all[side])
#define max(a, b) ((a) > (b) -> (a) : (b))

inline judge() {
#if RULE == FLAGS
    if
    :: has_fin && state == ESTABLISHED -> state = FIN_WAIT
    :: has_fin && (state == FIN_WAIT || state == CLOSE_WAIT) -> state = LAST_ACK
    :: !has_fin && state == FIN_WAIT -> state = CLOSE_WAIT
    :: !has_fin && state == LAST_ACK -> state = TIME_WAIT
    :: else
    fi;
    over = state == TIME_WAIT
#elif RULE == SIDES
    answers[side] = answers[side] || finished[other(side)];
    finished[side] = finished[side] || has_fin;
    over = answers[0] && answers[1]
#else
#if RULE == NUMBERS
    sequence_fits = from <= end[side] || from <= said[other(side)] + KNOWN;
    acknowledgment_fits = ack <= end[other(side)];
#else
    sequence_fits = has_fin || fin_end[0] || fin_end[1];
    acknowledgment_fits = sequence_fits;
#endif
    end[side] = (sequence_fits -> max(end[side], to) : end[side]);
    said[side] = (acknowledgment_fits -> max(said[side], ack) : said[side]);
    fin_end[side] = (has_fin && sequence_fits && acknowledgment_fits -> to : fin_end[side]);
    over = fin_end[0] && fin_end[1] && said[0] >= fin_end[1] && said[1] >= fin_end[0]
#endif
}

#define has_all(side) (received[side] == all[other(side)])
#define is_closed(side) (has_all(side) && answered[side] == all[side])

/* What a trail shows: @who|step */
#define name(side) ((side) == 0 -> 'C' : 'S')

inline forget() {
    side = 0;
    from = 0;
    to = 0;
    ack = 0;
    sequence_fits = false;
    acknowledgment_fits = false
}

inline choose_side() {
    if
    :: side = 0
    :: side = 1
    fi
}

init {
    byte side, from, to, ack;
    bool sequence_fits, acknowledgment_fits;

    atomic {
        for (side : 0 .. 1) {
            select(to : 1 .. DATA + 1);
            all[side] = to;
            printf("@%c|has %d units of data to send, and a FIN\n", name(side), all[side] - 1)
        }
        forget()
    }
idle:
    do
    :: atomic { /* an end sends */
           choose_side();
           if
           :: sent[side] < all[side] && sent[side] < answered[side] + WINDOW ->
               printf("@%c|sends unit %d\n", name(side), sent[side]);
               sent[side]++
           :: else
           fi;
           forget()
       }
    :: atomic { /* an end receives */
           choose_side();
           if
           :: forwarded[other(side)] & bit(received[side]) ->
               printf("@%c|receives unit %d\n", name(side), received[side]);
               received[side]++
           :: answered[side] < promised[other(side)] ->
               answered[side] = promised[other(side)];
               printf("@%c|receives ACK %d\n", name(side), answered[side])
           :: else
           fi;
           closed_but_never_over = is_closed(0) && is_closed(1);
           assert(!closed_but_never_over);
           forget()
       }
    :: atomic { /* G sees a segment, and sends it on */
           choose_side();
           select(to : 0 .. sent[side]);
           select(from : 0 .. to);
           select(ack : 0 .. received[side]);
           judge();
           promised[side] = max(promised[side], ack);
           printf("@G|from %c: ", name(side));
           if
           :: from == to -> printf("ACK %d alone, over %d\n", ack, over)
           :: from < to -> printf("units %d to %d, FIN %d, ACK %d, over %d\n", from, to - 1,
                has_fin, ack, over)
           fi;
           do
           :: from < to -> forwarded[side] = forwarded[side] | bit(from); from++
           :: else -> break
           od;
           forget();
           if
           :: over -> break
           :: else
           fi
       }
    od;
    atomic {
#ifdef REACH
        reached = true;
        assert(!reached);
#endif
        live_tuple_given_away = !has_all(0) || !has_all(1);
        printf("@G|gives the tuple to another client; S has %d of %d units, C has %d of %d\n",
            received[1], all[0], received[0], all[1]);
        assert(!live_tuple_given_away)
    }
}
