//! nginx and HAProxy, run with the files that `rustwren setup` writes for them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};

/// The number under which a balancer finds its listener.
const LISTENER: i32 = 3;

/// Which balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// nginx
    Nginx,
    /// HAProxy
    Haproxy,
}

/// A running balancer. It ends with this value.
///
/// Its listener is made here and handed over: nobody else can get its port, and who connects before it is up waits in
/// the listener's queue.
#[derive(Debug)]
pub struct Balancer {
    kind: Kind,
    snippet: String,
    folder: PathBuf,
    address: SocketAddr,
    process: Child,
}

impl Balancer {
    /// Starts one in front of these servers, with what setup has written into `snippets`. `folder` is for its own files.
    pub fn start(kind: Kind, snippets: &Path, folder: &Path, servers: &[SocketAddr]) -> Self {
        let snippet = fs::read_to_string(snippets.join(kind.file())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // As nginx makes its own, and leaves one that it is given: of two workers that are woken by one connection, one
        // would wait in `accept` for the next, and see to nothing else.
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let configuration = folder.join("balancer.conf");
        fs::write(&configuration, kind.configuration(&snippet, folder, address, servers)).unwrap();

        let mut command = Command::new(super::tool(kind.program()));
        match kind {
            Kind::Nginx => {
                // How nginx hands its own listeners to its successor.
                command
                    .env("NGINX", format!("{LISTENER};"))
                    .arg("-p")
                    .arg(folder)
                    .arg("-c")
                    .arg(&configuration);
                command.args(["-e", "error.log"]);
            }
            // With a master process, which reads the configuration anew when asked; in the foreground.
            Kind::Haproxy => drop(command.args(["-W", "-db", "-f"]).arg(&configuration)),
        }
        let log = fs::File::create(folder.join("balancer.log")).unwrap();
        let mapping = FdMapping { parent_fd: listener.into(), child_fd: LISTENER };
        command.fd_mappings(vec![mapping]).unwrap();
        let process =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { kind, snippet, folder: folder.to_owned(), address, process }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts it in front of other servers, while calls go on.
    pub fn reload(&self, servers: &[SocketAddr]) {
        let text = self.kind.configuration(&self.snippet, &self.folder, self.address, servers);
        fs::write(self.folder.join("balancer.conf"), text).unwrap();
        let signal = match self.kind {
            Kind::Nginx => Signal::HUP,
            Kind::Haproxy => Signal::USR2,
        };
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// What it has said.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("balancer.log") + &read("error.log")
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Both end at once, with the processes that work for them.
        match kill_process(Pid::from_child(&self.process), Signal::TERM) {
            Ok(()) => drop(self.process.wait()),
            Err(error) => eprintln!("the balancer is gone already: {error}"),
        }
    }
}

impl Kind {
    /// The name of its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// The name of its file in the folder of setup.
    pub fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
        }
    }

    /// A whole configuration around the snippet, which listens at `address` and has these servers.
    pub fn configuration(
        self,
        snippet: &str,
        folder: &Path,
        address: SocketAddr,
        servers: &[SocketAddr],
    ) -> String {
        let snippet = with_servers(snippet, servers);
        let folder = folder.display();
        match self {
            Self::Nginx => format!(
                "daemon off;\nuser root;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log warn;\n\
                 worker_rlimit_nofile 16384;\nevents {{ worker_connections 8192; }}\nhttp {{\naccess_log off;\n\
                 client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
                 fastcgi_temp_path {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
                 {}\n}}\n",
                replaced(&snippet, "listen 8080;", &format!("listen {address};"))
            ),
            Self::Haproxy => {
                format!(
                    "global\n    maxconn 8192\n\n{}",
                    replaced(&snippet, "bind :8080", &format!("bind fd@{LISTENER}"))
                )
            }
        }
    }
}

/// The snippet with these servers in place of the ones that it names as an example.
fn with_servers(snippet: &str, servers: &[SocketAddr]) -> String {
    const EXAMPLE: &str = "10.0.0.";
    let mut text = String::new();
    let mut servers = Some(servers);
    for line in snippet.lines() {
        let Some(start) = line.find(EXAMPLE) else {
            text.extend([line, "\n"]);
            continue;
        };
        let end = line[start..].find([' ', ';']).map_or(line.len(), |length| start + length);
        // All stand where the first example stood.
        for (i, server) in servers.take().unwrap_or_default().iter().enumerate() {
            // HAProxy's servers have names.
            let front = line[..start].replace("runtime-1", &format!("runtime-{}", i + 1));
            text.extend([&front, &server.to_string(), &line[end..], "\n"]);
        }
    }
    assert!(servers.is_none(), "setup names examples that begin with {EXAMPLE}:\n{snippet}");
    text
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "setup writes {from:?}:\n{text}");
    text.replace(from, to)
}
