//! Every example goes from this machine to Azure by its configuration file alone.

use crate::place::{Place, Plan};

pub(crate) fn switch() {
    let place = Place::new(&Plan { instances: 2, ..Plan::default() });
    assert_eq!(place.host.seen().calls, 0);
    rustwren_tests::switch::all_examples(&place.config(), &[]);
    let seen = place.host.seen();
    assert!(seen.invocations >= 6, "{seen:?}");
}
