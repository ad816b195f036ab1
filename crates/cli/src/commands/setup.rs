//! `rustwren setup`, and what `rustwren teardown` shares with it.

use rustwren::provision::{Applied, Named, Plan, Watch};
use rustwren::{Error, Result};
use serde::Serialize;

use self::progress::Progress;
use super::doctor;
use crate::args::{Cli, Consent, SetupArgs};
use crate::ask;
use crate::failure::Failure;
use crate::output::{self, ACTIVE, BOLD, GOOD};
use crate::provider::Providers;
use crate::table::printable;

mod progress;
mod show;
#[cfg(test)]
mod tests;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    /// Whether anything was changed or, in a dry run, would be.
    changed: bool,
    providers: Vec<Provider>,
    /// What a closure said that was sent the whole way; absent where none was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    hello: Option<String>,
}

#[derive(Debug, Serialize)]
struct Provider {
    backend: &'static str,
    target: String,
    #[serde(flatten)]
    plan: Plan,
    /// What a person has still to do.
    next: Vec<String>,
}

/// A provisioner with what it would do.
pub(super) struct Planned {
    pub(super) named: Named,
    pub(super) plan: Plan,
}

/// Plans, shows, asks, applies, and proves it.
pub(crate) fn run(cli: &Cli, args: &SetupArgs) -> std::result::Result<(), Failure> {
    let consent = args.consent;
    let providers = Providers::open(cli, &args.options())?;
    if providers.named.is_empty() {
        if consent.json {
            return output::json(&report(consent, &[], Vec::new(), None));
        }
        let names = providers.names();
        output::note(&format!("{names} has nothing to set up: jobs can run as it is"));
        return Ok(());
    }
    let plans = providers.block_on(plan(&providers.named))?;
    if !consented(consent, &plans, "Do this?", "it would be done")? {
        return if consent.json { output::json(&report(consent, &plans, Vec::new(), None)) } else { Ok(()) };
    }
    let applied = providers.block_on(apply(&plans))?;
    let ready = applied.iter().all(|applied| applied.next.is_empty());
    let hello = if ready { Some(doctor::hello(cli)?) } else { None };
    if consent.json {
        return output::json(&report(consent, &plans, applied, hello));
    }
    if let Some(hello) = hello {
        output::note(&format!("{GOOD}ready{GOOD:#}    {hello}"));
    }
    for next in applied.iter().flat_map(|applied| &applied.next).enumerate() {
        if next.0 == 0 {
            output::note(&format!("\n{BOLD}What is left to do:{BOLD:#}"));
        }
        output::note(&format!("  {ACTIVE}{}.{ACTIVE:#} {}", next.0 + 1, printable(next.1)));
    }
    Ok(())
}

/// What each would do.
async fn plan(named: &[Named]) -> Result<Vec<Planned>> {
    let mut plans = Vec::new();
    for named in named {
        let plan = named.provisioner.plan().await?;
        plans.push(Planned { named: named.clone(), plan });
    }
    Ok(plans)
}

/// Shows the plans and finds out whether to go on. Where there is nothing to change, whoever asked for it has consented.
pub(super) fn consented(
    consent: Consent,
    plans: &[Planned],
    question: &str,
    at_stake: &str,
) -> std::result::Result<bool, Failure> {
    let all: Vec<&Plan> = plans.iter().map(|planned| &planned.plan).collect();
    let changes = all.iter().any(|plan| plan.changes());
    if !consent.json {
        let shown: Vec<String> = plans
            .iter()
            .map(|Planned { named, plan }| show::plan(named.backend, &named.provisioner.target(), plan))
            .collect();
        let sum = show::sum(&all);
        let sum = if changes { sum } else { format!("{GOOD}no change{GOOD:#}: {sum}") };
        let text = format!("{}\n{sum}\n", shown.join("\n"));
        if consent.dry_run {
            // Then it is what was asked for.
            output::data(text.as_bytes())?;
        } else {
            output::note(text.trim_end());
        }
    }
    if consent.dry_run {
        return Ok(false);
    }
    if !changes || consent.yes {
        return Ok(true);
    }
    let at_stake = format!("{}: {at_stake}", show::sum(&all));
    let agreed = ask::confirmed(question, &at_stake, "--yes does it without asking, --dry-run only tells")?;
    if !agreed {
        output::note("nothing was changed");
    }
    Ok(agreed)
}

async fn apply(plans: &[Planned]) -> Result<Vec<Applied>> {
    let mut all = Vec::new();
    for Planned { named, plan } in plans {
        let progress = Progress::new(plan);
        let applied = named.provisioner.apply(plan, &progress as &dyn Watch).await;
        all.push(applied.map_err(|error| in_step(error, &progress))?);
    }
    Ok(all)
}

/// Removes what the plans say, telling of each step.
pub(super) async fn destroy(plans: &[Planned]) -> Result<()> {
    for Planned { named, plan } in plans {
        let progress = Progress::new(plan);
        let destroyed = named.provisioner.destroy(plan, &progress as &dyn Watch).await;
        destroyed.map_err(|error| in_step(error, &progress))?;
    }
    Ok(())
}

/// The error, with the step in which it happened.
fn in_step(error: Error, progress: &Progress<'_>) -> Error {
    match progress.under_way() {
        Some(step) => error.context(&step),
        None => error,
    }
}

fn report(consent: Consent, plans: &[Planned], applied: Vec<Applied>, hello: Option<String>) -> Report {
    let mut applied = applied.into_iter();
    let providers = plans.iter().map(|Planned { named, plan }| Provider {
        backend: named.backend,
        target: named.provisioner.target(),
        plan: plan.clone(),
        next: applied.next().unwrap_or_default().next,
    });
    let changed = plans.iter().any(|planned| planned.plan.changes());
    Report { dry_run: consent.dry_run, changed, providers: providers.collect(), hello }
}

/// The plans of a removal, for scripts.
pub(super) fn print_json(consent: Consent, plans: &[Planned]) -> std::result::Result<(), Failure> {
    output::json(&report(consent, plans, Vec::new(), None))
}
