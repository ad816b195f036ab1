//! Comparing what is there with what is wanted, field by field.

use rustwren_core::provision::Step;

/// A field of things of one kind that setup is in charge of.
pub(super) struct Field<T> {
    /// What people call it.
    name: &'static str,
    /// Whether its values are short enough to be told.
    is_told: bool,
    /// What is in it, empty where nothing is.
    of: fn(&T) -> String,
}

impl<T> Field<T> {
    /// One whose differences are told with both values.
    pub(super) const fn told(name: &'static str, of: fn(&T) -> String) -> Self {
        Self { name, is_told: true, of }
    }

    /// One whose differences are told by its name alone.
    pub(super) const fn untold(name: &'static str, of: fn(&T) -> String) -> Self {
        Self { name, is_told: false, of }
    }
}

/// Adds every field that differs between two things to a step, which becomes an update where there are any.
pub(super) fn compare<T>(step: Step, fields: &[Field<T>], is: &T, wanted: &T) -> Step {
    let some = |text: &String| !text.is_empty();
    let differs = fields.iter().fold(step, |step, field| {
        let (is, wanted) = ((field.of)(is), (field.of)(wanted));
        if is == wanted {
            return step;
        }
        if !field.is_told {
            return step.differs_untold(field.name);
        }
        let (is, wanted) = (Some(is).filter(some), Some(wanted).filter(some));
        step.differs(field.name, is.as_deref(), wanted.as_deref())
    });
    differs.update_if_different()
}

#[cfg(test)]
mod tests {
    use rustwren_core::provision::Change;

    use super::*;

    struct Thing {
        memory: &'static str,
        variables: &'static [&'static str],
        instances: &'static str,
    }

    #[test]
    fn only_what_setup_is_in_charge_of_counts() {
        let fields = [
            Field::told("memory", |thing: &Thing| thing.memory.to_owned()),
            Field::untold("variables", |thing| thing.variables.join(",")),
            Field::told("instances", |thing| thing.instances.to_owned()),
        ];
        let wanted = Thing { memory: "2Gi", variables: &["X"], instances: "100" };
        let step = || Step::new("service", "s", Change::None);
        assert_eq!(compare(step(), &fields, &wanted, &wanted).change, Change::None);
        let is = Thing { memory: "1Gi", variables: &[], instances: "" };
        let step = compare(step(), &fields, &is, &wanted);
        assert_eq!(step.change, Change::Update);
        let told: Vec<_> =
            step.differences.iter().map(|d| (&*d.what, d.from.as_deref(), d.to.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("memory", Some("1Gi"), Some("2Gi")),
                ("variables", None, None),
                ("instances", None, Some("100"))
            ]
        );
    }
}
