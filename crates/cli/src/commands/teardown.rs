//! `rustwren teardown`

use rustwren::Result;
use rustwren::provision::Named;

use super::setup::{self, Planned};
use crate::args::{Cli, TeardownArgs};
use crate::failure::Failure;
use crate::output::{self, GOOD};
use crate::provider::Providers;

/// Plans, shows, asks, and removes.
pub(crate) fn run(cli: &Cli, args: &TeardownArgs) -> std::result::Result<(), Failure> {
    let consent = args.consent;
    let providers = Providers::open(cli, &args.options())?;
    let plans = providers.block_on(plan(&providers.named))?;
    if plans.iter().all(|planned| planned.plan.steps.is_empty()) {
        if consent.json {
            return setup::print_json(consent, &plans);
        }
        for note in plans.iter().flat_map(|planned| &planned.plan.notes) {
            output::note(note);
        }
        output::note(&format!("there is nothing to remove for {}", providers.names()));
        return Ok(());
    }
    if setup::consented(consent, &plans, "Remove this for good?", "it would be removed for good")? {
        providers.block_on(setup::destroy(&plans))?;
        if !consent.json {
            output::note(&format!("{GOOD}nothing is left{GOOD:#}"));
        }
    }
    if consent.json { setup::print_json(consent, &plans) } else { Ok(()) }
}

/// What each would remove, in reverse: what was made last may need what was made first.
pub(super) async fn plan(named: &[Named]) -> Result<Vec<Planned>> {
    let mut plans = Vec::new();
    for named in named.iter().rev() {
        let plan = named.provisioner.destroy_plan().await?;
        plans.push(Planned { named: named.clone(), plan });
    }
    Ok(plans)
}
