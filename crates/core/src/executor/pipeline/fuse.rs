//! Which parallel steps run together in one worker.

use super::settings::Settings;
use super::{Parallel, Takes};

/// Neighbouring steps that run together.
pub(super) fn fuse(steps: Vec<Parallel>) -> Vec<Vec<Parallel>> {
    let mut groups: Vec<Vec<Parallel>> = Vec::new();
    for step in steps {
        match groups.last_mut() {
            Some(group) if group.iter().all(|before| together(before, &step)) => group.push(step),
            _ => groups.push(vec![step]),
        }
    }
    groups
}

fn together(one: &Parallel, other: &Parallel) -> bool {
    let plain = Settings::default();
    let kinds = (one.takes, other.takes);
    let mixed = matches!(kinds, (Takes::List, Takes::ItemAsync) | (Takes::ItemAsync, Takes::List));
    one.settings == plain && other.settings == plain && !mixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::step;

    fn groups(steps: &[(Takes, bool)]) -> Vec<usize> {
        let step = |(takes, own): &(Takes, bool)| {
            let mut settings = Settings::default();
            if *own {
                settings = Settings::with_workers(3);
            }
            Parallel { described: step::map(|x: u8| x), takes: *takes, label: String::new(), settings }
        };
        fuse(steps.iter().map(step).collect()).iter().map(Vec::len).collect()
    }

    #[test]
    fn plain_neighbours_run_together() {
        assert_eq!(groups(&[(Takes::Item, false), (Takes::List, false), (Takes::Item, false)]), [3]);
        assert_eq!(groups(&[(Takes::ItemAsync, false), (Takes::Item, false)]), [2]);
    }

    #[test]
    fn settings_of_its_own_set_a_step_apart() {
        assert_eq!(groups(&[(Takes::Item, false), (Takes::Item, true), (Takes::Item, false)]), [1, 1, 1]);
    }

    #[test]
    fn async_steps_and_lists_are_kept_apart() {
        assert_eq!(groups(&[(Takes::ItemAsync, false), (Takes::Item, false), (Takes::List, false)]), [2, 1]);
        assert_eq!(groups(&[(Takes::List, false), (Takes::Item, false), (Takes::ItemAsync, false)]), [2, 1]);
    }
}
