//! The table, row by row: state, event, what the server has chosen; next state, actions.

use super::{Action::*, *};

const MS: Duration = Duration::from_millis(1);

/// Times in milliseconds.
struct Clock {
    start: Instant,
}

impl Clock {
    fn at(&self, ms: u32) -> Instant {
        self.start + MS * ms
    }
}

fn rules(persistent: bool) -> Rules {
    Rules { persistent, client_timeout: Some(MS * 3000), response_patience: MS * 5000 }
}

/// A row: state, event; what a persistent server does, and what one does that is not, where that
/// differs.
type Row = (State, Event, Next, Option<Next>);
type Next = (State, &'static [Action]);

/// At 10 s.
#[track_caller]
fn check(rows: &[Row], clock: &Clock) {
    for (state, event, persistent, once) in rows {
        let now = || clock.at(10_000);
        assert_eq!(state.on(*event, &rules(true), now), *persistent, "{state:?}, {event:?}");
        let once = once.unwrap_or(*persistent);
        assert_eq!(state.on(*event, &rules(false), now), once, "{state:?}, {event:?}, not persistent");
    }
}

fn clock() -> Clock {
    Clock { start: Instant::now() }
}

const FRESH: Client = Client::Fresh { farewell: Report::Due };
const FRESH_REPORTED: Client = Client::Fresh { farewell: Report::Made };
const NOTHING: Event = Event::Swept { dropped: Dropped::Nothing, found: Found::Nothing };
const SOME: Event = Event::Swept { dropped: Dropped::Requests, found: Found::Nothing };
const SOME_THEN_ONE: Event = Event::Swept { dropped: Dropped::Requests, found: Found::Request };
const ONE: Event = Event::Swept { dropped: Dropped::Nothing, found: Found::Request };
const PARTED: Event = Event::Swept { dropped: Dropped::Nothing, found: Found::Parted };

#[test]
fn without_a_client() {
    let clock = clock();
    let now = clock.at(10_000);
    let idle = |since, absence, farewell| State::Idle { since: clock.at(since), absence, farewell };
    let new = idle(9_000, Report::Due, Report::Due);
    let reported = idle(9_000, Report::Due, Report::Made);
    let unanswerable = |request| State::Unanswerable { since: now, obstacle: Report::Due, request };
    let just_reported = State::Idle { since: now, absence: Report::Due, farewell: Report::Made };
    check(
        &[
            (new, Event::NoWriter, (new, &[RenewMetadata]), None),
            (
                idle(7_000, Report::Due, Report::Due),
                Event::NoWriter,
                (idle(7_000, Report::Made, Report::Due), &[RenewMetadata, ReportAbsence]),
                Some((State::Ended, &[RenewMetadata, ReportAbsence])),
            ),
            // Once.
            (
                idle(1_000, Report::Made, Report::Due),
                Event::NoWriter,
                (idle(1_000, Report::Made, Report::Due), &[RenewMetadata]),
                None,
            ),
            (new, Event::Leftovers, (new, &[Sweep]), None),
            (new, Event::Responses, (State::Serving(FRESH), &[]), None),
            (reported, Event::Responses, (State::Serving(FRESH), &[]), None),
            (new, Event::NoResponses(Obstacle::Passing), (unanswerable(Held::Nothing), &[]), None),
            (
                new,
                Event::NoResponses(Obstacle::Lasting),
                (unanswerable(Held::Nothing), &[PauseLong, Drop, Sweep]),
                None,
            ),
            (new, NOTHING, (new, &[Pause]), None),
            (new, SOME, (just_reported, &[Pause, ReportGone]), Some((State::Ended, &[Pause, ReportGone]))),
            (reported, SOME, (reported, &[Pause]), None),
            (
                new,
                SOME_THEN_ONE,
                (unanswerable(Held::Request), &[ReportGone]),
                Some((State::Ended, &[ReportGone])),
            ),
            (reported, SOME_THEN_ONE, (unanswerable(Held::Request), &[]), None),
            (new, ONE, (unanswerable(Held::Request), &[]), None),
            (
                new,
                PARTED,
                (just_reported, &[Forget, ReportGone]),
                Some((State::Ended, &[Forget, ReportGone])),
            ),
            (reported, PARTED, (reported, &[Forget]), None),
            (new, Event::Drain, (State::Ended, &[]), None),
        ],
        &clock,
    );
}

#[test]
fn a_client_without_a_response_buffer() {
    let clock = clock();
    let now = clock.at(10_000);
    let unanswerable =
        |since, obstacle, request| State::Unanswerable { since: clock.at(since), obstacle, request };
    let (due, made) = (Report::Due, Report::Made);
    let (none, one) = (Held::Nothing, Held::Request);
    let new = State::new(now);
    let reported = State::Idle { since: now, absence: due, farewell: made };
    check(
        &[
            (unanswerable(1_000, due, one), Event::NoWriter, (new, &[Drop, RenewMetadata]), None),
            (unanswerable(1_000, due, one), Event::Leftovers, (new, &[Sweep]), None),
            (unanswerable(1_000, due, none), Event::Responses, (State::Serving(FRESH), &[]), None),
            (unanswerable(1_000, made, none), Event::Responses, (State::Serving(FRESH), &[Forget]), None),
            (unanswerable(1_000, due, one), Event::Responses, (State::Serving(FRESH), &[]), None),
            // The number of the request that was kept is the one that the next follows.
            (unanswerable(1_000, made, one), Event::Responses, (State::Serving(FRESH), &[]), None),
            (
                unanswerable(5_001, due, one),
                Event::NoResponses(Obstacle::Passing),
                (unanswerable(5_001, due, one), &[]),
                None,
            ),
            (
                unanswerable(5_000, due, one),
                Event::NoResponses(Obstacle::Passing),
                (unanswerable(5_000, due, none), &[Drop, Sweep]),
                None,
            ),
            (
                unanswerable(9_999, due, one),
                Event::NoResponses(Obstacle::Lasting),
                (unanswerable(9_999, due, none), &[PauseLong, Drop, Sweep]),
                None,
            ),
            (unanswerable(1_000, due, none), ONE, (unanswerable(1_000, due, one), &[]), None),
            (
                unanswerable(1_000, made, none),
                SOME_THEN_ONE,
                (unanswerable(10_000, due, one), &[ReportGone]),
                Some((State::Ended, &[ReportGone])),
            ),
            (
                unanswerable(1_000, due, none),
                SOME,
                (unanswerable(1_000, made, none), &[Pause, ReportUnanswerable]),
                Some((State::Ended, &[Pause, ReportUnanswerable])),
            ),
            (unanswerable(1_000, made, none), SOME, (unanswerable(1_000, made, none), &[Pause]), None),
            (
                unanswerable(1_000, made, none),
                PARTED,
                (reported, &[Forget, ReportGone]),
                Some((State::Ended, &[Forget, ReportGone])),
            ),
            (unanswerable(1_000, due, none), Event::Drain, (State::Ended, &[]), None),
            (unanswerable(1_000, due, one), Event::Drain, (unanswerable(1_000, due, one), &[]), None),
        ],
        &clock,
    );
}

#[test]
fn a_client_is_served() {
    use Order::{Continues, Starts};
    use Peer::{Gone, There};
    let clock = clock();
    let now = clock.at(10_000);
    let begun = Client::Begun;
    let reported = State::Idle { since: now, absence: Report::Due, farewell: Report::Made };
    let next = State::Unanswerable { since: now, obstacle: Report::Due, request: Held::Request };
    for (serve, then) in [
        (State::Serving as fn(Client) -> State, State::Serving as fn(Client) -> State),
        (State::Draining, State::Draining),
        (|client| State::Parting { since: Instant::now(), client }, State::Serving),
    ] {
        check(
            &[
                (serve(begun), Event::Request(Continues, There), (then(begun), &[Handle]), None),
                (serve(FRESH), Event::Request(Starts, There), (then(begun), &[Begin, Handle]), None),
                (serve(FRESH_REPORTED), Event::Request(Starts, There), (then(begun), &[Begin, Handle]), None),
                (
                    serve(begun),
                    Event::Request(Starts, There),
                    (then(begun), &[ReportGone, ForgetMetadata, Begin, Handle]),
                    Some((State::Ended, &[Drop, ReportGone])),
                ),
                (
                    serve(FRESH),
                    Event::Request(Continues, There),
                    (then(FRESH_REPORTED), &[Drop, ReportGone]),
                    Some((State::Ended, &[Drop, ReportGone])),
                ),
                (
                    serve(FRESH_REPORTED),
                    Event::Request(Continues, There),
                    (then(FRESH_REPORTED), &[Drop]),
                    None,
                ),
                (
                    serve(begun),
                    Event::Request(Continues, Gone),
                    (reported, &[Drop, Close, ReportGone]),
                    Some((State::Ended, &[Drop, Close, ReportGone])),
                ),
                (
                    serve(begun),
                    Event::Request(Starts, Gone),
                    (next, &[Close, ReportGone]),
                    Some((State::Ended, &[Close, ReportGone])),
                ),
            ],
            &clock,
        );
    }
}

#[test]
fn a_client_that_is_served_leaves() {
    use Peer::{Gone, There};
    let clock = clock();
    let now = clock.at(10_000);
    let (begun, serving) = (Client::Begun, State::Serving(Client::Begun));
    let parting = |since| State::Parting { since: clock.at(since), client: begun };
    let reported = State::Idle { since: now, absence: Report::Due, farewell: Report::Made };
    let gone: Next = (reported, &[Close, ReportGone]);
    let gone_for_good: Option<Next> = Some((State::Ended, &[Close, ReportGone]));
    let left: Next = (reported, &[Forget, Close, ReportGone]);
    let left_for_good: Option<Next> = Some((State::Ended, &[Forget, Close, ReportGone]));
    check(
        &[
            (serving, Event::Quiet(There), (serving, &[]), None),
            (serving, Event::Quiet(Gone), gone, gone_for_good),
            (serving, Event::Parted(There), (parting(10_000), &[Forget, Pause]), None),
            (serving, Event::Parted(Gone), left, left_for_good),
            (parting(9_501), Event::Parted(There), (parting(9_501), &[Pause]), None),
            (parting(9_500), Event::Parted(There), left, left_for_good),
            (parting(9_999), Event::Parted(Gone), left, left_for_good),
            (parting(9_000), Event::Quiet(There), (serving, &[]), None),
            (parting(9_999), Event::Quiet(Gone), gone, gone_for_good),
            (serving, Event::Drain, (State::Draining(begun), &[]), None),
            (parting(9_999), Event::Drain, (State::Draining(begun), &[]), None),
            (State::Draining(begun), Event::Quiet(There), (State::Ended, &[]), None),
            (State::Draining(begun), Event::Parted(There), (State::Ended, &[Close, ReportGone]), None),
        ],
        &clock,
    );
}

#[test]
fn a_request_buffer_breaks_and_what_is_over_is_over() {
    let clock = clock();
    let again: &'static [Action] = &[ReportBroken, Drop, Close, Forget, Recreate];
    let never: &'static [Action] = &[ReportBroken, Drop, Close, Forget];
    for state in [State::new(clock.at(0)), State::Serving(FRESH), State::Draining(Client::Begun)] {
        let new = State::new(clock.at(10_000));
        check(&[(state, Event::Broken, (new, again), Some((State::Ended, never)))], &clock);
    }
    for event in [Event::Broken, Event::Responses, Event::Drain, SOME, Event::Leftovers] {
        check(&[(State::Ended, event, (State::Ended, &[]), None)], &clock);
    }
    // What cannot be seen in a state changes nothing.
    let serving = State::Serving(FRESH);
    for event in [Event::NoWriter, Event::Leftovers, Event::Responses, SOME] {
        check(&[(serving, event, (serving, &[]), None)], &clock);
    }
}
