//! What can be configured of chaos.

use std::time::Duration;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings, WRAPS};
use rustwren_core::error::Result;

use crate::delay::Delay;
use crate::plan::{ChaosPlan, StoragePlan};
use crate::ramp::Ramp;

/// What holds for a knob that is not set.
const PROFILE: &str = "as the profile says";

const SEED: KeyDoc = KeyDoc::with_default(
    "seed",
    Kind::Integer { min: 0, max: u64::MAX },
    "0",
    "What all chance is drawn from: the n-th call meets the same fault in every run with the same seed.",
);

/// `[storage]` with `backend = "chaos"`.
pub const STORAGE: BackendKeys = BackendKeys {
    name: "chaos",
    section: Section::Storage,
    keys: &[
        WRAPS,
        SEED,
        profile(
            "The faults to begin with: `calm` has none, `flaky` a little of each, `lambda` those of an object store \
             on a bad day.",
        ),
        share("slow", "10%", "Operations that are slow."),
        range("slow_by", "10ms..500ms", "By how much."),
        share("transient", "3%", "Operations that fail and did nothing. A listing may fail half-way."),
        share("throttled", "2%", "Operations that are throttled."),
        duration("retry_after", "100ms", "How long throttles ask to wait."),
        share(
            "ambiguous",
            "2%",
            "Writes and deletions that are made, and answered with an error all the same.",
        ),
    ],
};

/// `[compute]` with `backend = "chaos"`.
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "chaos",
    section: Section::Compute,
    keys: &[
        WRAPS,
        SEED,
        profile(
            "The faults to begin with: `calm` has none, `flaky` a little of each that RustWren hides, `lambda` those \
             of AWS Lambda on a bad day.",
        ),
        KeyDoc::optional(
            "claims",
            Kind::Integer { min: 1, max: 1_000_000 },
            "as many as the wrapped backend has",
            "100",
            "How many workers there seem to be. Invocations beyond those that there are wait for one.",
        ),
        ramp(
            "ramp_start",
            "1000",
            "Environments (one for each invocation under way) that can be started at once in the beginning. `calm` and \
             `flaky` have no ramp; with one of the four keys set, the others are those of AWS Lambda.",
        ),
        ramp("ramp_step", "1000", "Environments that can be started from each later step on."),
        duration("ramp_every", "10s", "The time between steps."),
        ramp(
            "ramp_most",
            "10000",
            "Environments that can be there at the same time; what goes beyond is throttled.",
        ),
        duration("keep_warm", "5m", "How long environments stay warm when nothing is sent to them."),
        range("cold_start", "10ms..100ms", "How long the start of an environment takes."),
        range("latency", "0s", "How long an invocation takes to its worker, and its answer back."),
        share("throttled", "5%", "Invocations throttled for no visible reason."),
        duration("retry_after", "100ms", "How long throttles ask to wait."),
        share("transient", "3%", "Invocations that fail before they reach a worker."),
        share("lost", "1%", "Invocations that are never answered."),
        share("lost_after", "50%", "Of lost invocations, those that a worker runs all the same."),
        share("crashed", "2%", "Invocations whose worker dies before it did anything."),
        share("crashed_after", "2%", "Invocations whose worker dies between the work and the answer."),
        share("handed_back", "5%", "Invocations of which a part, or all, is handed back undone."),
        share("duplicated", "5%", "Invocations that are run twice, with the second results coming late."),
        range("duplicate_delay", "0s..1s", "How much later the second run begins."),
        share("stragglers", "3%", "Invocations whose results are held back as if they took much longer."),
        KeyDoc::optional(
            "straggler_factor",
            Kind::Integer { min: 1, max: 1_000_000 },
            PROFILE,
            "8",
            "How many times as long stragglers take at least; a heavy tail goes beyond.",
        ),
        range("straggler_delay", "1s..1m", "The least and the most that a straggler is held back."),
        share("reordered", "20%", "Of batches of results, those that come after the next one."),
        share("repeated", "10%", "Of batches of results, those that come once more, later."),
        share("ghosts", "50%", "Of invocations that are given up, those whose worker goes on for a while."),
        duration("linger", "2s", "How late repeated results come at most, and how long ghosts go on."),
    ],
};

const fn profile(doc: &'static str) -> KeyDoc {
    KeyDoc::with_default("profile", Kind::Choice(&["calm", "flaky", "lambda"]), "flaky", doc)
}

const fn share(name: &'static str, example: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc::optional(name, Kind::Share, PROFILE, example, doc)
}

const fn range(name: &'static str, example: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc::optional(name, Kind::DurationRange, PROFILE, example, doc)
}

const fn duration(name: &'static str, example: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc::optional(name, Kind::Duration, PROFILE, example, doc)
}

const fn ramp(name: &'static str, example: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc::optional(name, Kind::Integer { min: 1, max: 1_000_000 }, PROFILE, example, doc)
}

/// Reads single knobs over what a profile says.
struct Knobs<'a>(&'a Settings);

impl Knobs<'_> {
    fn share(&self, key: &str, place: &mut f64) -> Result<()> {
        *place = self.0.get_share(key)?.unwrap_or(*place);
        Ok(())
    }

    fn duration(&self, key: &str, place: &mut Duration) -> Result<()> {
        *place = self.0.get_duration(key)?.unwrap_or(*place);
        Ok(())
    }

    fn delay(&self, key: &str, place: &mut Delay) -> Result<()> {
        if let Some((least, most)) = self.0.get_range(key)? {
            *place = Delay::Uniform(least, most);
        }
        Ok(())
    }

    fn retry_after(&self, place: &mut Option<Duration>) -> Result<()> {
        *place = self.0.get_duration("retry_after")?.or(*place);
        Ok(())
    }

    fn size(&self, key: &str) -> Result<Option<usize>> {
        // The limits of each key keep the numbers within 32 bits.
        Ok(self.0.get_u64(key)?.map(|number| number as usize))
    }
}

/// `[compute]` of chaos: the seed and what goes wrong. Errors name the place of the value.
pub fn chaos_plan(settings: &Settings) -> Result<(u64, ChaosPlan)> {
    let mut plan = match settings.get_str("profile")? {
        Some("calm") => ChaosPlan::calm(),
        Some("lambda") => ChaosPlan::lambda(),
        _ => ChaosPlan::flaky(),
    };
    let knobs = Knobs(settings);
    plan.concurrency = knobs.size("claims")?.or(plan.concurrency);
    plan.ramp = read_ramp(&knobs, plan.ramp)?;
    knobs.duration("keep_warm", &mut plan.keep_warm)?;
    knobs.delay("cold_start", &mut plan.cold_start)?;
    knobs.delay("latency", &mut plan.latency)?;
    knobs.retry_after(&mut plan.retry_after)?;
    knobs.delay("duplicate_delay", &mut plan.duplicate_delay)?;
    knobs.duration("linger", &mut plan.linger)?;
    plan.straggler_delay = settings.get_range("straggler_delay")?.unwrap_or(plan.straggler_delay);
    plan.straggler_factor =
        settings.get_u64("straggler_factor")?.map_or(plan.straggler_factor, |factor| factor as f64);
    for (key, place) in [
        ("throttled", &mut plan.throttled),
        ("transient", &mut plan.transient),
        ("lost", &mut plan.lost),
        ("lost_after", &mut plan.lost_after),
        ("crashed", &mut plan.crashed),
        ("crashed_after", &mut plan.crashed_after),
        ("handed_back", &mut plan.handed_back),
        ("duplicated", &mut plan.duplicated),
        ("stragglers", &mut plan.stragglers),
        ("reordered", &mut plan.reordered),
        ("repeated", &mut plan.repeated),
        ("ghosts", &mut plan.ghosts),
    ] {
        knobs.share(key, place)?;
    }
    Ok((seed(settings)?, plan))
}

/// `[storage]` of chaos: the seed and what goes wrong. Errors name the place of the value.
pub fn storage_plan(settings: &Settings) -> Result<(u64, StoragePlan)> {
    let mut plan = match settings.get_str("profile")? {
        Some("calm") => StoragePlan::calm(),
        Some("lambda") => StoragePlan::lambda(),
        _ => StoragePlan::flaky(),
    };
    let knobs = Knobs(settings);
    knobs.share("slow", &mut plan.slow)?;
    knobs.delay("slow_by", &mut plan.slow_by)?;
    knobs.share("transient", &mut plan.transient)?;
    knobs.share("throttled", &mut plan.throttled)?;
    knobs.retry_after(&mut plan.retry_after)?;
    knobs.share("ambiguous", &mut plan.ambiguous)?;
    Ok((seed(settings)?, plan))
}

fn seed(settings: &Settings) -> Result<u64> {
    Ok(settings.get_u64("seed")?.unwrap_or_default())
}

fn read_ramp(knobs: &Knobs<'_>, profile: Option<Ramp>) -> Result<Option<Ramp>> {
    let (start, step) = (knobs.size("ramp_start")?, knobs.size("ramp_step")?);
    let (every, most) = (knobs.0.get_duration("ramp_every")?, knobs.size("ramp_most")?);
    if profile.is_none() && start.is_none() && step.is_none() && every.is_none() && most.is_none() {
        return Ok(None);
    }
    // Whoever sets one of them means a ramp, and Lambda's is the one that people know.
    let base = profile.unwrap_or(Ramp::lambda(usize::MAX));
    Ok(Some(Ramp {
        start: start.unwrap_or(base.start),
        step: step.unwrap_or(base.step),
        every: every.unwrap_or(base.every),
        most: most.unwrap_or(base.most),
    }))
}

#[cfg(test)]
mod tests {
    use rustwren_core::config::units::{format_duration, format_range, format_share};

    use super::*;

    fn compute(pairs: &[(&'static str, &str)]) -> (u64, ChaosPlan) {
        let settings = Settings::of_program(&COMPUTE, "/cache", pairs.iter().copied()).unwrap();
        chaos_plan(&settings).unwrap()
    }

    fn storage(pairs: &[(&'static str, &str)]) -> (u64, StoragePlan) {
        let settings = Settings::of_program(&STORAGE, "/cache", pairs.iter().copied()).unwrap();
        storage_plan(&settings).unwrap()
    }

    #[test]
    fn profiles() {
        assert_eq!(compute(&[]), (0, ChaosPlan::flaky()));
        assert_eq!(compute(&[("profile", "calm")]).1, ChaosPlan::calm());
        assert_eq!(compute(&[("profile", "lambda"), ("seed", "7")]), (7, ChaosPlan::lambda()));
        assert_eq!(storage(&[]), (0, StoragePlan::flaky()));
        assert_eq!(storage(&[("profile", "calm")]).1, StoragePlan::calm());
        assert_eq!(storage(&[("profile", "lambda")]).1, StoragePlan::lambda());
    }

    #[test]
    fn every_knob_turns_something() {
        for key in COMPUTE.keys.iter().filter(|key| !["wraps", "seed", "profile"].contains(&key.name)) {
            // Examples are often what the profile says; this is not.
            let value = match key.kind {
                Kind::Share => "77%",
                Kind::Integer { .. } => "77",
                Kind::Duration => "77s",
                _ => "77s..78s",
            };
            assert_ne!(compute(&[(key.name, value)]).1, ChaosPlan::flaky(), "{}", key.name);
        }
        for key in STORAGE.keys.iter().filter(|key| !["wraps", "seed", "profile"].contains(&key.name)) {
            let value = match key.kind {
                Kind::Share => "77%",
                Kind::Duration => "77s",
                _ => "77s..78s",
            };
            assert_ne!(storage(&[(key.name, value)]).1, StoragePlan::flaky(), "{}", key.name);
        }
    }

    #[test]
    fn knobs_are_read_as_what_they_are() {
        let plan = compute(&[
            ("profile", "calm"),
            ("claims", "50"),
            ("lost", "2%"),
            ("cold_start", "60ms..300ms"),
            ("straggler_factor", "3"),
            ("straggler_delay", "1s..2s"),
            ("retry_after", "3s"),
            ("linger", "4s"),
        ])
        .1;
        let expected = ChaosPlan {
            concurrency: Some(50),
            lost: 0.02,
            cold_start: Delay::Uniform(Duration::from_millis(60), Duration::from_millis(300)),
            straggler_factor: 3.0,
            straggler_delay: (Duration::from_secs(1), Duration::from_secs(2)),
            retry_after: Some(Duration::from_secs(3)),
            linger: Duration::from_secs(4),
            ..ChaosPlan::calm()
        };
        assert_eq!(plan, expected);
    }

    #[test]
    fn one_key_makes_a_ramp_and_the_others_are_lambda_s() {
        let ramp = compute(&[("ramp_start", "2")]).1.ramp;
        assert_eq!(ramp, Some(Ramp { start: 2, ..Ramp::lambda(usize::MAX) }));
        let ramp =
            compute(&[("profile", "lambda"), ("ramp_step", "5"), ("ramp_every", "1s"), ("ramp_most", "9")]);
        assert_eq!(ramp.1.ramp, Some(Ramp { start: 1000, step: 5, every: Duration::from_secs(1), most: 9 }));
    }

    #[test]
    fn annotated_file_matches_the_declarations() {
        let text = include_str!("../../../config/chaos.toml");
        let wrong = rustwren_core::config::reference::check_annotated(text, &[STORAGE, COMPUTE]);
        assert!(wrong.is_empty(), "config/chaos.toml:\n{}", wrong.join("\n"));
    }

    /// A knob as the profiles have it, as a row of the table in `docs/chaos.md`.
    fn row(key: &str, values: &[String; 3]) -> String {
        format!("| `{key}` | {} |", values.join(" | "))
    }

    fn percent(share: f64) -> String {
        format_share((share * 1_000_000.0).round() as u32)
    }

    fn times(delay: Delay) -> String {
        match delay {
            Delay::None => "0s".to_owned(),
            Delay::Uniform(least, most) => format_range(least, most),
            Delay::Pareto { .. } => "heavy".to_owned(),
        }
    }

    fn named(time: Option<Duration>) -> String {
        time.map_or("not named".to_owned(), format_duration)
    }

    #[test]
    fn documented_profiles_are_what_they_are() {
        let page = include_str!("../../../docs/chaos.md");
        let plans = [ChaosPlan::calm(), ChaosPlan::flaky(), ChaosPlan::lambda()];
        let of = |show: &dyn Fn(&ChaosPlan) -> String| plans.each_ref().map(show);
        let stores = [StoragePlan::calm(), StoragePlan::flaky(), StoragePlan::lambda()];
        let of_storage = |show: &dyn Fn(&StoragePlan) -> String| stores.each_ref().map(show);
        for expected in [
            row("keep_warm", &of(&|plan| format_duration(plan.keep_warm))),
            row("cold_start", &of(&|plan| times(plan.cold_start))),
            row("latency", &of(&|plan| times(plan.latency))),
            row("throttled", &of(&|plan| percent(plan.throttled))),
            row("retry_after", &of(&|plan| named(plan.retry_after))),
            row("transient", &of(&|plan| percent(plan.transient))),
            row("lost", &of(&|plan| percent(plan.lost))),
            row("lost_after", &of(&|plan| percent(plan.lost_after))),
            row("crashed", &of(&|plan| percent(plan.crashed))),
            row("crashed_after", &of(&|plan| percent(plan.crashed_after))),
            row("handed_back", &of(&|plan| percent(plan.handed_back))),
            row("duplicated", &of(&|plan| percent(plan.duplicated))),
            row("duplicate_delay", &of(&|plan| times(plan.duplicate_delay))),
            row("stragglers", &of(&|plan| percent(plan.stragglers))),
            row("straggler_factor", &of(&|plan| plan.straggler_factor.to_string())),
            row("straggler_delay", &of(&|plan| format_range(plan.straggler_delay.0, plan.straggler_delay.1))),
            row("reordered", &of(&|plan| percent(plan.reordered))),
            row("repeated", &of(&|plan| percent(plan.repeated))),
            row("ghosts", &of(&|plan| percent(plan.ghosts))),
            row("linger", &of(&|plan| format_duration(plan.linger))),
            row("slow", &of_storage(&|plan| percent(plan.slow))),
            row("slow_by", &of_storage(&|plan| times(plan.slow_by))),
            row("transient", &of_storage(&|plan| percent(plan.transient))),
            row("throttled", &of_storage(&|plan| percent(plan.throttled))),
            row("retry_after", &of_storage(&|plan| named(plan.retry_after))),
            row("ambiguous", &of_storage(&|plan| percent(plan.ambiguous))),
        ] {
            assert!(page.contains(&expected), "docs/chaos.md has no row\n{expected}");
        }
        for key in COMPUTE.keys.iter().chain(STORAGE.keys) {
            assert!(
                page.contains(&format!("`{}`", key.name)) || ["wraps", "seed", "profile"].contains(&key.name),
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn both_halves_wrap() {
        assert!(STORAGE.wraps() && COMPUTE.wraps());
    }
}
