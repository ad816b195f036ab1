use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Some time after all pauses.
fn window_after(pace: &mut Pace, now: Duration) -> usize {
    pace.tick(now);
    pace.window(now)
}

#[test]
fn a_burst_of_refusals_leaves_what_runs() {
    let mut pace = Pace::new(1000);
    for refused in 1..=700 {
        pace.refused(ms(20), ms(0), 1000 - refused, None);
    }
    assert_eq!((pace.level(), pace.window(ms(20))), (300, 0));
    assert_eq!(pace.next_change(), Some(ms(120)));
    // One more is tried.
    assert_eq!(window_after(&mut pace, ms(120)), 301);
}

#[test]
fn a_lone_refusal_stops_nothing_that_runs() {
    let mut pace = Pace::new(1000);
    pace.refused(ms(20), ms(0), 999, None);
    assert_eq!(pace.window(ms(20)), 999);
}

#[test]
fn tries_that_turn_out_well_double() {
    let mut pace = Pace::new(1000);
    pace.refused(ms(20), ms(0), 600, None);
    let mut now = ms(20);
    let mut windows = Vec::new();
    while windows.last() != Some(&1000) {
        let window = window_after(&mut pace, now);
        windows.push(window);
        pace.sent(now, window);
        // A refusal takes 20 ms; twice that, and it will not come.
        pace.tick(now + ms(39));
        assert_eq!(pace.window(now), window);
        now += ms(40);
    }
    assert_eq!(windows, [601, 603, 607, 615, 631, 663, 727, 855, 1000]);
}

#[test]
fn what_is_not_used_is_not_learnt() {
    let mut pace = Pace::new(1000);
    pace.refused(ms(20), ms(0), 600, None);
    assert_eq!(window_after(&mut pace, s(5)), 601);
    pace.sent(s(5), 300);
    assert_eq!(window_after(&mut pace, s(500)), 601);
}

#[test]
fn nothing_more_is_tried_before_the_time_that_was_named() {
    let mut pace = Pace::new(10);
    pace.refused(s(1), s(0), 8, Some(s(30)));
    pace.tick(s(2));
    assert_eq!(pace.window(s(2)), 9, "a lone refusal names no time for tries that were not under way yet");
    pace.sent(s(2), 9);
    pace.refused(s(3), s(2), 8, Some(s(30)));
    pace.tick(s(32));
    assert_eq!((pace.window(s(32)), pace.next_change()), (8, Some(s(33))));
    assert_eq!(window_after(&mut pace, s(33)), 9);
    // When hardly anything runs any more, nothing is sent at all.
    for running in (0..3).rev() {
        pace.refused(s(40), s(39), running, Some(s(7)));
    }
    assert_eq!((pace.window(s(46)), window_after(&mut pace, s(47))), (0, 1));
}

#[test]
fn at_once_is_not_taken_at_its_word() {
    let mut pace = Pace::new(1);
    pace.refused(s(1), s(0), 0, Some(Duration::ZERO));
    assert_eq!(pace.next_change(), Some(s(1) + PAUSE));
}

#[test]
fn a_provider_that_takes_nothing_is_asked_less_and_less() {
    let mut pace = Pace::new(10);
    let mut now = Duration::ZERO;
    let mut asked = 0;
    while now < s(3600) {
        pace.tick(now);
        if pace.window(now) > 0 {
            pace.sent(now, 1);
            pace.refused(now + ms(1), now, 0, None);
            asked += 1;
        }
        now = pace.next_change().unwrap();
    }
    assert!((360..400).contains(&asked), "{asked}");
}

/// What came of asking a provider for a while.
#[derive(Debug, Default)]
struct Outcome {
    /// Invocations that ended.
    ran: usize,
    refused: usize,
}

/// A client of which we know how it is answered, and for how long what it sends runs.
struct Client {
    pace: Pace,
    /// Half of the time from question to answer.
    way: Duration,
    /// On average.
    runs: Duration,
    /// Under way: when the answer comes, when it was sent, whether it ran.
    flights: Vec<(Duration, Duration, bool)>,
    outcome: Outcome,
    rng: fastrand::Rng,
}

impl Client {
    fn new(claimed: usize, way: Duration, runs: Duration) -> Self {
        let (flights, outcome) = (Vec::new(), Outcome::default());
        Self { pace: Pace::new(claimed), way, runs, flights, outcome, rng: fastrand::Rng::with_seed(1) }
    }

    /// One millisecond. `takes` is asked for each invocation that arrives; `named` is the time that refusals name.
    fn step(&mut self, now: Duration, takes: &mut dyn FnMut() -> bool, named: Option<Duration>) {
        let mut freed = 0;
        let (over, flights): (Vec<_>, _) = self.flights.drain(..).partition(|(at, ..)| *at <= now);
        self.flights = flights;
        for (_, _, ran) in &over {
            freed += usize::from(*ran);
            self.outcome.ran += usize::from(*ran);
        }
        let refused: Vec<_> = over.into_iter().filter(|(_, _, ran)| !ran).collect();
        for (k, (_, sent, _)) in refused.iter().enumerate() {
            let running = self.flights.len() + refused.len() - 1 - k + freed;
            self.pace.refused(now, *sent, running, named);
        }
        self.outcome.refused += refused.len();
        self.pace.tick(now);
        while self.flights.len() < self.pace.window(now) {
            let ran = takes();
            // Half as long to half as long again.
            let runs = if ran { self.runs.mul_f64(0.5 + self.rng.f64()) } else { Duration::ZERO };
            let at = now + self.way * 2 + runs;
            self.flights.push((at, now, ran));
            self.pace.sent(now, self.flights.len());
        }
    }

    /// Invocations that run at the provider.
    fn running(&self, now: Duration) -> usize {
        self.flights.iter().filter(|(at, _, ran)| *ran && *at > now + self.way).count()
    }

    fn run(&mut self, time: Duration, mut capacity: impl FnMut(Duration) -> usize, named: Option<Duration>) {
        for now in 0..time.as_millis() as u64 {
            let now = ms(now);
            let mut free = capacity(now).saturating_sub(self.running(now));
            let mut takes = || {
                let takes = free > 0;
                free = free.saturating_sub(1);
                takes
            };
            self.step(now, &mut takes, named);
        }
    }
}

#[test]
fn a_fixed_limit_is_found_and_used() {
    for (claimed, limit, named) in [(1000, 100, None), (100, 99, Some(1)), (5000, 3, Some(3))] {
        let mut client = Client::new(claimed, ms(10), ms(480));
        client.run(s(30), |_| limit, named.map(s));
        // Half a second each.
        let best = 30 * 2 * limit;
        assert!(client.outcome.ran * 100 > best * 92, "{limit}: {:?} of {best}", client.outcome);
        assert!(client.outcome.refused < claimed + 250, "{limit}: {:?}", client.outcome);
    }
}

#[test]
fn a_ramp_is_followed_without_being_told() {
    let ramp = |now: Duration| 50 * (1 + now.as_secs() as usize / 10);
    let mut client = Client::new(10_000, ms(10), ms(980));
    client.run(s(60), ramp, None);
    let best: usize = (0..60).map(|second| ramp(s(second))).sum();
    let outcome = &client.outcome;
    assert!(outcome.ran * 100 > best * 94, "{outcome:?} of {best}");
    // Beside the burst at the beginning.
    assert!(outcome.refused - 9_950 < best / 20, "{outcome:?} of {best}");
}

#[test]
fn a_rate_of_calls_is_kept() {
    for named in [None, Some(ms(200))] {
        let mut client = Client::new(1000, ms(5), ms(90));
        // A hundred calls a second, ten of which may come at once.
        let mut tokens = 10.0_f64;
        for now in 0..60_000 {
            tokens = (tokens + 0.1).min(10.0);
            let mut takes = || {
                let takes = tokens >= 1.0;
                tokens -= if takes { 1.0 } else { 0.0 };
                takes
            };
            client.step(ms(now), &mut takes, named);
        }
        let outcome = &client.outcome;
        assert!(outcome.ran > 5_000, "{named:?}: {outcome:?}");
        assert!(outcome.refused < 1000 + outcome.ran / 4, "{named:?}: {outcome:?}");
    }
}

#[test]
fn who_comes_later_gets_a_fair_part() {
    let mut clients = [(); 2].map(|()| Client::new(100, ms(10), ms(480)));
    let mut ran = [0; 2];
    for now in 0..120_000 {
        let now = ms(now);
        let mut free = 100_usize.saturating_sub(clients.iter().map(|client| client.running(now)).sum());
        let mut takes = || {
            let takes = free > 0;
            free = free.saturating_sub(1);
            takes
        };
        for (number, client) in clients.iter_mut().enumerate() {
            if now >= s(20) * number as u32 {
                client.step(now, &mut takes, None);
            }
        }
        if now == s(60) {
            ran = [0, 1].map(|number| clients[number].outcome.ran);
        }
    }
    let ran = [0, 1].map(|number| clients[number].outcome.ran - ran[number]);
    // Two a second and worker, for a minute.
    assert!(ran[0] + ran[1] > 120 * 92, "{ran:?}");
    assert!(ran.iter().all(|ran| *ran > 120 * 25), "{ran:?}");
}
