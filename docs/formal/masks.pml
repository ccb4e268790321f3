/*
 * The masked round, as far as sets and signatures go: what a lying orchestrator gets certified, and
 * what that opens. docs/formal.md explains it; `python -m protocol_sim.formal` checks it.
 *
 * The orchestrator is the process. It asks any gateway anything, in any order, and every set it may
 * show is tried. An honest gateway is what it has accepted so far; a question that it refuses ends
 * its session, which is the same as never being asked again. Colluding gateways are the positions
 * from HONEST on: they hand over all they hold and sign whatever is useful.
 *
 * Numbers come from the command line: N gateways, C colluding, D dropouts, Q the quorum, T the
 * share threshold, LEAST = n_min, SESSIONS of one round (1 or 2), and how many different h0 (KEYS)
 * and different P (PARAMS) a session has. HONEST of each are all there is; fewer leave some out.
 *
 * Each of these switches one rule off: ANY_SIZE, NO_SELF, NO_SUBSET, NO_HEADERS, NO_CERTIFICATE,
 * TWO_ANSWERS, TWO_UPLOADS, EARLY_JOURNAL, LATE_CLAIM, ANY_KEYS, ONE_KEY, NO_SELF_MASK.
 * SECRECY_ONLY asserts what is opened and nothing else; NOTHING_OPENS asserts that nothing ever is.
 */

#define HONEST (N - C)
#define EVERYBODY ((1 << N) - 1)
#define ALL_HONEST ((1 << HONEST) - 1)
#define only(i) (1 << (i))
#define has(set, i) (((set) >> (i)) & 1)
#define subset(a, b) (((a) & ~(b)) == 0)
/* N is 5 at most: the sets that a gateway has signed are bits of an int */
#define size(u) (has(u, 0) + has(u, 1) + has(u, 2) + has(u, 3) + has(u, 4))
#define larger(a, b) ((a) > (b) -> (a) : (b))

/* How far a gateway is in one session: the last thing it did. */
#define IDLE 0     /* it may have sent keys: they are part of h0 */
#define DEALT 1    /* shares of b and s are out, sealed under its h0 */
#define HEADED 2   /* it accepted P and U2, claimed the round and signed its header */
#define UPLOADED 3 /* the round is spent */
#define SIGNED 4   /* it signed h3 */
#define ANSWERED 5 /* it released its secrets */

typedef Gateway {
    unsigned step : 3;
    unsigned h0 : 3;
    unsigned params : 3;
    unsigned u2 : 5;
    unsigned u3 : 5;
    int signatures;        /* bit u: it signed h3 = (h0, h2, u) */
    unsigned edges : 5;    /* what it released: edge secrets it has with these */
    unsigned b_holders : 5; /* who released a share of its b */
    unsigned s_holders : 5; /* who released a share of its s */
    unsigned opened_b : 1;  /* it released its own b */
}

#define GATEWAYS (SESSIONS * HONEST)
#define at(session, i) gateways[(session) * HONEST + (i)]
Gateway gateways[GATEWAYS];

/* A certificate that the orchestrator holds. */
typedef Certificate {
    unsigned held : 1;
    unsigned h0 : 3;
    unsigned params : 3;
    unsigned u2 : 5;
    unsigned u3 : 5;
}
Certificate certificates[SESSIONS];
unsigned opened : 2; /* the sessions in which a sum has opened */

/* Scratch of single d_steps: no part of a state. */
hidden byte a, b, w, count, know_b, know_s, opens;
hidden byte one_certified_set, signer_is_included, enough_included;
hidden byte one_session_in_a_round, never_both_secrets, only_the_agreed_sum, nothing_opens;

#define same_h2(x, y) (x.h0 == y.h0 && x.params == y.params && x.u2 == y.u2)

/* -- what a gateway checks -------------------------------------------------------------------- */

#ifdef ANY_SIZE
#define enough_dealers(u) (1)
#define enough_uploads(u) (1)
#else
#define enough_dealers(u) (size(u) >= larger(LEAST, larger(Q, T)))
#define enough_uploads(u) (size(u) >= larger(LEAST, Q) && N - size(u) <= D)
#endif

#ifdef NO_SELF
#define me_in(u, i) (1)
#else
#define me_in(u, i) has(u, i)
#endif

#ifdef NO_SUBSET
#define within(u3, u2) (1)
#else
#define within(u3, u2) subset(u3, u2)
#endif

/* The journal: a round is compared when it is announced, claimed for one session when P is accepted,
 * and spent by that session when the upload leaves. */
#if SESSIONS == 1
#define elsewhere(session, i, since) (0)
#else
#define elsewhere(session, i, since) (at(1 - (session), i).step >= since)
#endif
#ifdef TWO_UPLOADS
#define announced_fresh(session, i) (1)
#else
#define announced_fresh(session, i) (!elsewhere(session, i, HEADED))
#endif
#if defined(TWO_UPLOADS) || defined(EARLY_JOURNAL) || defined(LATE_CLAIM)
#define claimed(session, i) (1)
#else
#define claimed(session, i) (!elsewhere(session, i, HEADED))
#endif
#if defined(TWO_UPLOADS) || defined(EARLY_JOURNAL)
#define spends(session, i) (1)
#else
#define spends(session, i) (!elsewhere(session, i, UPLOADED))
#endif

#ifdef TWO_ANSWERS
#define may_sign(g) (g.step >= UPLOADED)
#else
#define may_sign(g) (g.step == UPLOADED)
#endif

/* A header of an honest member of U3 exists, and names my h0 and h2. Colluding ones sign any. */
#ifdef NO_HEADERS
#define header_fits(x, y) (1)
#else
#define header_fits(x, y) (y.step >= HEADED && same_h2(x, y))
#endif

inline check_headers(session, i, u) {
    opens = 1;
    for (a : 0 .. HONEST - 1) {
        if
        :: (has(u, a) && a != i && !header_fits(at(session, i), at(session, a))) -> opens = 0
        :: else
        fi
    }
}

/* How many signatures on this gateway's own h3 the orchestrator can show. */
#define mine(session, i) at(session, i).u3
inline count_signatures(session, i) {
    count = size(mine(session, i) & ~ALL_HONEST);
    for (a : 0 .. HONEST - 1) {
        if
        :: (has(mine(session, i), a) && has(at(session, a).signatures, mine(session, i))
            && same_h2(at(session, i), at(session, a))) -> count++
        :: else
        fi
    }
}

/* -- what must hold --------------------------------------------------------------------------- */

#ifdef SECRECY_ONLY
#define claim(property)
#else
#define claim(property) assert(property)
#endif

/* After a signature: if it completes a certificate, that is the only one of the whole round. */
inline note_certificate(session, i) {
    count_signatures(session, i);
    one_certified_set = 1;
    if
    :: count >= Q ->
        if
        :: certificates[session].held ->
            one_certified_set = (certificates[session].u3 == at(session, i).u3
                && same_h2(certificates[session], at(session, i)))
        :: else ->
            for (a : 0 .. SESSIONS - 1) {
                if
                :: certificates[a].held -> one_certified_set = 0
                :: else
                fi
            }
            certificates[session].held = 1;
            certificates[session].h0 = at(session, i).h0;
            certificates[session].params = at(session, i).params;
            certificates[session].u2 = at(session, i).u2;
            certificates[session].u3 = at(session, i).u3
        fi
    :: else
    fi;
    claim(one_certified_set)
}

/* In one session of a round a gateway is asked for an update, so it uploads in one at most. */
inline count_sessions(i) {
    count = 0;
    for (a : 0 .. SESSIONS - 1) {
        if
        :: at(a, i).step >= HEADED -> count++
        :: else
        fi
    }
    one_session_in_a_round = count <= 1;
    claim(one_session_in_a_round)
}

/* Whose b and whose s the orchestrator can put together, with the shares of those who collude. */
inline know_secrets(session) {
    know_b = 0;
    know_s = 0;
    for (a : 0 .. HONEST - 1) {
        if
        :: (at(session, a).opened_b || (at(session, a).step >= DEALT
            && C + size(at(session, a).b_holders) >= T)) -> know_b = know_b | only(a)
        :: else
        fi;
        if
        :: (at(session, a).step >= DEALT && C + size(at(session, a).s_holders) >= T) ->
            know_s = know_s | only(a)
        :: else
        fi
    }
}

#ifdef ONE_KEY
/* The key that makes masks also seals: who is declared dead gives up all shares it ever got. */
inline unseal_shares(session) {
    for (a : 0 .. HONEST - 1) {
        for (b : 0 .. HONEST - 1) {
            if
            :: (a != b && has(know_s, a) && at(session, b).step >= DEALT
                && at(session, a).h0 == at(session, b).h0) ->
                at(session, b).b_holders = at(session, b).b_holders | only(a);
                at(session, b).s_holders = at(session, b).s_holders | only(a)
            :: else
            fi
        }
    }
}
#endif

/* The mask between a and b, as a made it, is known. */
#define mask_known(session) (b >= HONEST || has(know_s, a) || has(know_s, b) \
    || has(at(session, a).edges, b) \
    || (same_h2(at(session, a), at(session, b)) && has(at(session, b).edges, a)))
/* ... or both are in the sum, made it alike and with opposite signs. */
#define mask_cancels(session) (has(w, b) && same_h2(at(session, a), at(session, b)) \
    && has(at(session, b).u2, a))

/* Whether the sum of the uploads of the honest gateways in w opens. */
inline try_sum(session) {
    opens = subset(w, know_b);
    for (a : 0 .. HONEST - 1) {
        if
        :: (!opens || !has(w, a))
        :: (opens && has(w, a) && at(session, a).step < UPLOADED) -> opens = 0
        :: else ->
            for (b : 0 .. N - 1) {
                if
                :: (a == b || !has(at(session, a).u2, b))
                :: else ->
                    if
                    :: (b >= HONEST || mask_known(session) || mask_cancels(session))
                    :: else -> opens = 0
                    fi
                fi
            }
        fi
    }
}

/* Every sum that opens in this round is the one over the honest members of its certified set.
 * Masks stand in one upload, or in two with opposite signs: whatever combination opens, sums over
 * sets do, so sets are all there is to try. */
inline look(session) {
    know_secrets(session);
#ifdef ONE_KEY
    for (w : 0 .. HONEST - 1) {
        unseal_shares(session);
        know_secrets(session)
    }
#endif
    never_both_secrets = (know_b & know_s) == 0;
    claim(never_both_secrets);
#ifdef NO_SELF_MASK
    know_b = ALL_HONEST;
#endif
    only_the_agreed_sum = 1;
    nothing_opens = 1;
    for (w : 1 .. know_b) { /* no set outside know_b opens */
        try_sum(session);
        if
        :: opens ->
            nothing_opens = 0;
            opened = opened | only(session);
            if
            :: (certificates[session].held && opened == only(session) && size(w) >= 2
                && w == (certificates[session].u3 & ALL_HONEST))
            :: else -> only_the_agreed_sum = 0
            fi
        :: else
        fi
    }
    assert(only_the_agreed_sum);
#ifdef NOTHING_OPENS
    assert(nothing_opens);
#endif
}

/* -- what a gateway does ---------------------------------------------------------------------- */

inline deal(session, i, name) {
    printf("session %d, gateway %d deals its shares under h0 %d\n", session, i, name);
    at(session, i).h0 = name;
    at(session, i).step = DEALT;
    look(session)
}

inline accept_round(session, i, name, u) {
    printf("session %d, gateway %d accepts P %d and U2 %d\n", session, i, name, u);
    at(session, i).params = name;
    at(session, i).u2 = u;
    at(session, i).step = HEADED;
    count_sessions(i)
}

inline upload(session, i) {
    printf("session %d, gateway %d uploads\n", session, i);
    at(session, i).step = UPLOADED;
    look(session)
}

inline sign(session, i, u) {
    printf("session %d, gateway %d signs U3 %d\n", session, i, u);
    at(session, i).u3 = u;
    at(session, i).signatures = at(session, i).signatures | only(u);
    at(session, i).step = SIGNED;
    note_certificate(session, i)
}

/* Channel keys are salted with h0: a share that was dealt under another does not open. It counts
 * as open even if it was dealt after U2 was accepted: that only helps the orchestrator. */
#ifdef ANY_KEYS
#define opens_share(x, y) (1)
#else
#define opens_share(x, y) (x.h0 == y.h0)
#endif

inline answer(session, i) {
    printf("session %d, gateway %d answers for U3 %d\n", session, i, at(session, i).u3);
    signer_is_included = has(at(session, i).u3, i);
    claim(signer_is_included);
    enough_included = size(at(session, i).u3) >= LEAST;
    claim(enough_included);
    for (a : 0 .. HONEST - 1) {
        if
        :: (a == i || !opens_share(at(session, i), at(session, a)))
        :: else ->
            if
            :: has(at(session, i).u3, a) ->
                at(session, a).b_holders = at(session, a).b_holders | only(i)
            :: (!has(at(session, i).u3, a) && has(at(session, i).u2, a)) ->
                at(session, a).s_holders = at(session, a).s_holders | only(i)
            :: else
            fi
        fi
    }
    at(session, i).edges = at(session, i).edges | (at(session, i).u2 & ~at(session, i).u3);
    at(session, i).opened_b = 1;
    at(session, i).step = ANSWERED;
    look(session)
}

/* -- what the orchestrator may ask ------------------------------------------------------------ */

/* Names are arbitrary: it is enough to try those in use and the next. */
#define names_of(since) (since == DEALT -> KEYS : PARAMS)
#define name_in(g, since) (since == DEALT -> g.h0 : g.params)
inline next_name(session, since) {
    names = 0;
    for (a : 0 .. HONEST - 1) {
        if
        :: (at(session, a).step >= since && name_in(at(session, a), since) >= names) ->
            names = name_in(at(session, a), since) + 1
        :: else
        fi
    }
    names = (names < names_of(since) -> names : names_of(since) - 1)
}

inline any(value, last) {
    value = 0;
    do
    :: value < last -> value++
    :: break
    od;
    skip /* a d_step must not begin where a loop ends */
}

active proctype orchestrator() {
    byte session, i, names, name, u;

    do
    :: atomic {
        any(session, SESSIONS - 1);
        any(i, HONEST - 1);
        if
        :: (at(session, i).step == IDLE && announced_fresh(session, i)) ->
            d_step { next_name(session, DEALT) };
            any(name, names);
            d_step { deal(session, i, name) }
        :: (at(session, i).step == DEALT && claimed(session, i)) ->
            d_step { next_name(session, HEADED) };
            any(name, names);
            any(u, EVERYBODY);
            d_step {
                if
                :: (me_in(u, i) && enough_dealers(u)) -> accept_round(session, i, name, u)
                :: else
                fi
            }
        :: (at(session, i).step == HEADED && spends(session, i)) ->
            d_step { upload(session, i) }
        :: may_sign(at(session, i)) ->
            any(u, EVERYBODY);
            d_step {
                check_headers(session, i, u);
                if
                :: (opens && me_in(u, i) && within(u, at(session, i).u2) && enough_uploads(u)) ->
                    sign(session, i, u)
                :: else
                fi
            }
        :: at(session, i).step == SIGNED ->
            d_step {
                count_signatures(session, i);
#ifdef NO_CERTIFICATE
                count = Q;
#endif
                if
                :: count >= Q -> answer(session, i)
                :: else
                fi
            }
        :: else
        fi;
        session = 0;
        i = 0;
        names = 0;
        name = 0;
        u = 0
    }
    od
}
