//! How a setup comes along, on stderr: what is being done on a terminal, and a line for each step that is done.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustwren::provision::{Plan, Watch};

use super::show;
use crate::human;
use crate::output::{self, DIM, GOOD};
use crate::table::printable;

/// Tells of each step as it is done.
pub(super) struct Progress<'a> {
    plan: &'a Plan,
    bar: Option<ProgressBar>,
    now: Mutex<Option<(usize, Instant)>>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            // A constant that is known to parse.
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style);
            bar
        });
        Self { plan, bar, now: Mutex::new(None) }
    }

    /// The step that was begun and not done, as a phrase.
    pub(super) fn under_way(&self) -> Option<String> {
        let (step, _) = (*self.lock())?;
        Some(show::phrase(self.plan.steps.get(step)?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(usize, Instant)>> {
        // Whoever panicked with it has left a step behind, and that is all there can be wrong.
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn say(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.enable_steady_tick(Duration::from_millis(100));
        }
    }
}

impl Watch for Progress<'_> {
    fn started(&self, step: usize) {
        *self.lock() = Some((step, Instant::now()));
        if let Some(step) = self.plan.steps.get(step) {
            self.say(show::phrase(step));
        }
    }

    fn waiting(&self, step: usize, why: &str) {
        let Some(step) = self.plan.steps.get(step) else { return };
        let text = format!("{}: waiting: {}", show::phrase(step), printable(why));
        if self.bar.is_some() {
            self.say(text);
        } else {
            output::note(&format!("{DIM}{text}{DIM:#}"));
        }
    }

    fn done(&self, step: usize) {
        let begun = self.lock().take();
        let Some(step) = self.plan.steps.get(step) else { return };
        let time = begun.map(|(_, begun)| human::duration(begun.elapsed())).unwrap_or_default();
        let line = format!(
            "{GOOD}{:<8}{GOOD:#} {} {}  {DIM}{time}{DIM:#}",
            show::past(step.change),
            printable(&step.kind),
            printable(&step.name)
        );
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(&line)),
            None => output::note(&line),
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
