//! What a setup or its removal would do, as data.

use serde::Serialize;

/// What becomes of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is as it should be.
    None,
    /// It is not there, and is made.
    Create,
    /// It is changed in place.
    Update,
    /// It cannot be changed in place: it is removed and made anew.
    Replace,
    /// It is removed.
    Delete,
}

/// One property of a thing that is not as it should be. No secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The property: `memory`.
    pub what: String,
    /// What it is; none where it is not set, or where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it will be; none where it will not be set, or where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What becomes of one thing at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is: `bucket`, `role`, `file`.
    pub kind: String,
    /// Which one: the provider's name of it, or a path.
    pub name: String,
    /// What becomes of it.
    pub change: Change,
    /// What is worth knowing of it, in a few words: `public access blocked, encrypted`. May be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What differs, for those that are updated or replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

impl Step {
    /// A step about which no more is said.
    pub fn new(kind: impl Into<String>, name: impl Into<String>, change: Change) -> Self {
        Self { kind: kind.into(), name: name.into(), change, about: String::new(), differences: Vec::new() }
    }

    /// Adds what is worth knowing of the thing.
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    /// Adds a property that differs, with both values.
    pub fn differs(
        mut self,
        what: impl Into<String>,
        from: Option<impl Into<String>>,
        to: Option<impl Into<String>>,
    ) -> Self {
        self.differences.push(Difference {
            what: what.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
        });
        self
    }

    /// Adds a property that differs and whose values are not told: a secret, or too long for a line.
    pub fn differs_untold(self, what: impl Into<String>) -> Self {
        self.differs(what, None::<String>, None::<String>)
    }

    /// Adds a difference only where there is one.
    pub fn compare<T: PartialEq + ToString>(self, what: &str, from: Option<&T>, to: &T) -> Self {
        if from == Some(to) { self } else { self.differs(what, from.map(T::to_string), Some(to.to_string())) }
    }

    /// Sets the change of a thing that is there from its differences: an update where there are any.
    pub fn update_if_different(mut self) -> Self {
        self.change = if self.differences.is_empty() { Change::None } else { Change::Update };
        self
    }
}

/// What a setup or its removal would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// One for each thing, in the order in which they are done.
    pub steps: Vec<Step>,
    /// What a person should know before saying yes, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Plan {
    /// A plan of these steps.
    pub fn new(steps: impl Into<Vec<Step>>) -> Self {
        Self { steps: steps.into(), notes: Vec::new() }
    }

    /// Adds something to know.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Whether anything would change.
    pub fn changes(&self) -> bool {
        self.pending().next().is_some()
    }

    /// The steps that change something, with their indexes.
    pub fn pending(&self) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(|(_, step)| step.change != Change::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_make_an_update() {
        let same = Step::new("function", "f", Change::None).compare("memory", Some(&512), &512);
        assert_eq!(same.clone().update_if_different().change, Change::None);
        let other = same.compare("timeout", None, &900).differs_untold("code").update_if_different();
        assert_eq!(other.change, Change::Update);
        let first = &other.differences[0];
        assert_eq!(
            (first.what.as_str(), first.from.as_deref(), first.to.as_deref()),
            ("timeout", None, Some("900"))
        );
        assert!(other.differences[1].from.is_none() && other.differences[1].to.is_none());
    }

    #[test]
    fn pending_steps_keep_their_indexes() {
        let plan = Plan::new([
            Step::new("bucket", "b", Change::None),
            Step::new("role", "r", Change::Create).about("least privilege"),
        ]);
        assert!(plan.changes());
        let pending: Vec<usize> = plan.pending().map(|(index, _)| index).collect();
        assert_eq!(pending, [1]);
        let json = serde_json_of(&plan);
        assert!(json.contains("create") && !json.contains("differences"), "{json}");
    }

    /// Any self-describing format will do to see the names.
    fn serde_json_of(plan: &Plan) -> String {
        toml::to_string(plan).unwrap()
    }
}
