//! From plans to what is made, over a provisioner in memory.

use std::sync::Arc;

use rustwren::ErrorKind;
use rustwren::blocking::block_on;
use rustwren::provision::Named;
use rustwren_testkit::Shelf;

use super::{apply, consented, destroy, plan, report};
use crate::args::Consent;
use crate::failure::Failure;

const SILENT: Consent = Consent { dry_run: false, yes: true, json: true };

fn named(shelf: &Shelf) -> Vec<Named> {
    vec![Named { backend: "shelf", provisioner: Arc::new(shelf.clone()) }]
}

#[test]
fn a_plan_is_applied_with_consent_alone() {
    let shelf = Shelf::new([("bucket", "b"), ("role", "r")]);
    let plans = block_on(plan(&named(&shelf))).unwrap();
    let dry = Consent { dry_run: true, ..SILENT };
    assert!(!consented(dry, &plans, "Do this?", "it would be done").unwrap());
    // Tests have no terminal.
    let asked = Consent { yes: false, ..SILENT };
    let Err(Failure::RustWren(error)) = consented(asked, &plans, "Do this?", "it would be done") else {
        panic!("there is nobody to ask");
    };
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("2 to create: it would be done"), "{error}");
    assert!(shelf.things().is_empty());

    assert!(consented(SILENT, &plans, "Do this?", "it would be done").unwrap());
    assert!(block_on(apply(&plans)).unwrap()[0].next.is_empty());
    assert_eq!(shelf.things().len(), 2);
    let again = block_on(plan(&named(&shelf))).unwrap();
    assert!(consented(asked, &again, "Do this?", "it would be done").unwrap(), "nothing to ask about");
    assert!(!report(SILENT, &again, Vec::new(), None).changed);
    let json = serde_json::to_value(report(SILENT, &plans, Vec::new(), None)).unwrap();
    assert_eq!(json["providers"][0]["steps"][1]["change"], "create", "{json}");
    assert_eq!(json["providers"][0]["target"], "a shelf", "{json}");
}

#[test]
fn an_error_names_its_step_and_a_later_run_completes_it() {
    let shelf = Shelf::new([("bucket", "b"), ("role", "r"), ("worker", "w")]);
    let broken = shelf.breaking("role");
    let plans = block_on(plan(&named(&broken))).unwrap();
    let error = block_on(apply(&plans)).unwrap_err();
    assert_eq!(error.to_string(), "create thing role: it fell down\nhint: put it up again");
    assert_eq!(shelf.things().len(), 1, "what was made before stays");
    let rest = block_on(plan(&named(&shelf.leaving("start it")))).unwrap();
    let changes: Vec<_> = rest[0].plan.pending().map(|(index, _)| index).collect();
    assert_eq!(changes, [1, 2]);
    let applied = block_on(apply(&rest)).unwrap();
    assert_eq!(applied[0].next, ["start it"]);
    assert_eq!(shelf.things().len(), 3);
    let removal = block_on(super::super::teardown::plan(&named(&shelf))).unwrap();
    block_on(destroy(&removal)).unwrap();
    assert!(shelf.things().is_empty());
}
