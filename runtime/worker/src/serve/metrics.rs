//! Numbers for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;

use super::Shared;

/// Something that is counted.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All that is counted since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) connections: Counter,
    pub(super) connections_refused: Counter,
    pub(super) denied: Counter,
    pub(super) throttled: Counter,
    pub(super) invocations: Counter,
    pub(super) elements: Counter,
    pub(super) detached: Counter,
    pub(super) object_calls: Counter,
    pub(super) received_bytes: Counter,
    answers: [Counter; 5],
}

impl Metrics {
    /// Counts an answer with this status.
    pub(super) fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            counter.count();
        }
    }

    /// All of them in Prometheus's text form.
    pub(super) fn render(&self, shared: &Shared) -> String {
        let counters = [
            ("connections_total", "Connections taken.", &self.connections),
            (
                "connections_refused_total",
                "Connections for which there was no room.",
                &self.connections_refused,
            ),
            ("denied_total", "Calls without a right signature.", &self.denied),
            ("throttled_total", "Calls refused because all workers were busy.", &self.throttled),
            ("invocations_total", "Invocations taken.", &self.invocations),
            ("elements_total", "Elements of invocations taken.", &self.elements),
            ("detached_total", "Detached invocations taken.", &self.detached),
            ("object_calls_total", "Calls about stored objects.", &self.object_calls),
            ("received_bytes_total", "Bytes of bodies of calls.", &self.received_bytes),
        ];
        let gauges = [
            ("workers", "Invocations that can run at once.", shared.slots.count()),
            ("workers_busy", "Invocations that run.", shared.slots.taken()),
            ("waiting", "Invocations that wait for a worker.", shared.slots.waiting()),
            ("connections_open", "Connections that are open.", shared.connections.count()),
            ("draining", "1 when no more invocations are taken.", usize::from(shared.is_draining())),
        ];
        let mut page = String::new();
        let mut put = |name: &str, help: &str, kind: &str, label: &str, value: u64| {
            if !help.is_empty() {
                page.extend([
                    "# HELP rustwren_",
                    name,
                    " ",
                    help,
                    "\n# TYPE rustwren_",
                    name,
                    " ",
                    kind,
                    "\n",
                ]);
            }
            page.extend(["rustwren_", name, label, " ", &value.to_string(), "\n"]);
        };
        for (name, help, counter) in counters {
            put(name, help, "counter", "", counter.get());
        }
        for (name, help, value) in gauges {
            put(name, help, "gauge", "", value as u64);
        }
        for (class, counter) in (1..).zip(&self.answers) {
            let help = if class == 1 { "Answers, by class of status." } else { "" };
            put("answers_total", help, "counter", &format!("{{status=\"{class}xx\"}}"), counter.get());
        }
        page
    }
}
