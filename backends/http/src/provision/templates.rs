//! The files of each kind of fleet, with what is known of this configuration filled in.

use std::fmt::Write as _;

/// A file that a person takes further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its name in the folder.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) kind: &'static str,
    /// What it is for, in a few words.
    pub(super) about: &'static str,
    /// What stands in it, below its mark.
    pub(super) content: String,
}

struct Template {
    name: &'static str,
    kind: &'static str,
    about: &'static str,
    text: &'static str,
    /// How a variable of the environment is written in it; none where it has none.
    variable: Option<fn(&str, &str) -> String>,
}

const ALL: &[Template] = &[
    Template {
        name: "rustwren-runtime.service",
        kind: "systemd unit",
        about: "one runtime on a virtual machine",
        text: include_str!("templates/systemd.service"),
        variable: Some(|name, value| format!("Environment={}\n", systemd(&format!("{name}={value}")))),
    },
    Template {
        name: "nginx.conf",
        kind: "nginx",
        about: "nginx in front of runtimes",
        text: include_str!("templates/nginx.conf"),
        variable: None,
    },
    Template {
        name: "haproxy.cfg",
        kind: "HAProxy",
        about: "HAProxy in front of runtimes",
        text: include_str!("templates/haproxy.cfg"),
        variable: None,
    },
    Template {
        name: "Dockerfile",
        kind: "container",
        about: "the runtime's image",
        text: include_str!("templates/Dockerfile"),
        variable: None,
    },
    Template {
        name: "kubernetes.yaml",
        kind: "manifest",
        about: "deployment and service on Kubernetes",
        text: include_str!("templates/kubernetes.yaml"),
        variable: Some(|name, value| container_variable(name, value, 12)),
    },
    Template {
        name: "knative.yaml",
        kind: "manifest",
        about: "a service on Knative or Cloud Run",
        text: include_str!("templates/knative.yaml"),
        variable: Some(|name, value| container_variable(name, value, 12)),
    },
    Template {
        name: "app.yaml",
        kind: "App Engine",
        about: "a service on App Engine flexible",
        text: include_str!("templates/app.yaml"),
        variable: Some(|name, value| format!("  {name}: {}\n", quoted(value))),
    },
];

/// Stands for the variables, on a line of its own.
const ENVIRONMENT: &str = "{{environment}}\n";

/// All files, for runtimes whose environment has these variables in addition to what each kind of fleet needs by itself.
pub(super) fn files(variables: &[(String, String)]) -> Vec<File> {
    ALL.iter()
        .map(|template| {
            let content = match template.variable {
                Some(write) => {
                    let lines: String = variables.iter().map(|(name, value)| write(name, value)).collect();
                    template.text.replace(ENVIRONMENT, &lines)
                }
                None => template.text.to_owned(),
            };
            File { name: template.name, kind: template.kind, about: template.about, content }
        })
        .collect()
}

fn container_variable(name: &str, value: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    format!("{pad}- name: {name}\n{pad}  value: {}\n", quoted(value))
}

/// A double-quoted scalar of YAML: JSON's strings are some.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => out.push(c),
        }
    }
    out + "\""
}

/// A quoted word of a systemd unit, in which nothing is expanded.
fn systemd(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '%' => out += "%%",
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)).unwrap_or_default(),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted() {
        assert_eq!(quoted("a \"b\" \\ \n: #"), r#""a \"b\" \\ \u000a: #""#);
        assert_eq!(systemd("X=50% \"y\" \\ $z"), r#""X=50%% \"y\" \\ $z""#);
    }

    #[test]
    fn variables_stand_in_every_file_that_has_some() {
        let variables = [("RUSTWREN__STORAGE__ROOT".to_owned(), "/a b".to_owned())];
        for file in files(&variables) {
            assert!(!file.content.contains("{{"), "{}", file.name);
            let has_some = file.content.contains("RUSTWREN__COMPUTE__LISTEN");
            assert_eq!(file.content.contains("RUSTWREN__STORAGE__ROOT"), has_some, "{}", file.name);
        }
    }
}
