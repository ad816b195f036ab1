//! The front end for everything that speaks HTTP: one runtime of a fleet behind a load balancer, or one alone.
//!
//! Callers prove themselves by signatures, unless a platform in front lets nobody else through and it was said so.
//!
//! What a caller without a secret can cost is bounded: a connection among [`max_connections`], the reading of its
//! headers within a time, the check of one signature, and a short answer that is always the same. Bodies are read for
//! callers with a secret only. Calls for which there is no room are refused whatever is in their bodies.
//!
//! [`max_connections`]: crate::config::ServeConfig::max_connections

mod body;
mod connection;
mod connections;
pub(crate) mod custom_handler;
mod gate;
mod handler;
mod invoke;
mod metrics;
mod objects;
mod peer;
mod queued;
mod reply;
mod slots;
mod tls;
mod watched;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{
    DumpableBehavior, Pid, Signal, getppid, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustwren_core::config::{Config, LoadOptions};
use rustwren_core::env::{Environment, HTTP_SECRET, OVERRIDE_PREFIX};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::image::ImageId;
use rustwren_core::storage::Storage;
use rustwren_runtime::host::{Host, HostOptions, Room};
use rustwren_runtime::image_cache::ImageCache;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;

use connections::Connections;
use custom_handler::CustomHandler;
use gate::Gate;
use metrics::Metrics;
use slots::Slots;

use crate::args::ServeArgs;
use crate::backends::compiled_in;
use crate::config::ServeConfig;
use crate::task_log;

/// Threads that serve calls. What takes long is done elsewhere: tasks in their processes, files on threads that may wait.
const THREADS: usize = 2;
/// How often processes that are not used any more are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// How often invocations that have nothing else to report are told as alive.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long answers may take to reach their callers when everything else is done.
const FLUSH: Duration = Duration::from_secs(3);
/// How long no connection is taken when there are no file descriptors left for one.
const NO_DESCRIPTORS: Duration = Duration::from_millis(50);

/// `rustwren-runtime serve`: serves until SIGTERM or SIGINT, and then until what runs is done or handed back.
pub fn main(args: &ServeArgs) -> Result<()> {
    if let Some(parent) = args.parent {
        end_with(parent)?;
    }
    run(&args.load_options(), |_, _| Ok(None))
}

/// Serves with this configuration until SIGTERM or SIGINT. `prepare` may change it, and makes the runtime a custom handler
/// where it gives one.
pub(crate) fn run(
    options: &LoadOptions,
    prepare: impl FnOnce(&mut ServeConfig, &Path) -> Result<Option<CustomHandler>>,
) -> Result<()> {
    // Tasks run as the same user. This keeps them from reading the secret in this process's memory or environment.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "tasks may be able to read the secret");
    }
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::Internal, "the async runtime").with_source(error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let registry = compiled_in();
        let loaded = Config::load(&registry, options)?;
        let mut config = ServeConfig::from_settings(loaded.compute())?;
        let custom = prepare(&mut config, loaded.compute().cache_dir()?)?;
        let storage = registry.build_storage(loaded.storage()).await?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let server = Server::bind_as(config, storage, loaded.compute().cache_dir()?, custom).await?;
        // For whoever has started it on port 0.
        println!("listening on {}", server.address()?);
        server
            .run(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            })
            .await;
        Ok(())
    })
}

/// Has this process told to end, as by SIGTERM, when that one is gone: it is nothing without whoever passes calls on to it.
fn end_with(parent: i32) -> Result<()> {
    let failed = |what: String| Error::new(ErrorKind::Internal, what);
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| {
        failed(format!("this process cannot be made to end with process {parent}")).with_source(error)
    })?;
    // It may have been gone before.
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(failed(format!(
            "process {parent}, with which this one is to end, has not started it or is gone"
        )));
    }
    Ok(())
}

/// What all connections share.
struct Shared {
    config: ServeConfig,
    host: Arc<Host>,
    /// For detached invocations: their processes are no worker's.
    detached_host: Arc<Host>,
    gate: Gate,
    /// What the answer to one invocation can carry.
    room: Room,
    metrics: Metrics,
    slots: Slots,
    detached_slots: Slots,
    /// Places for calls about stored objects.
    object_slots: Slots,
    connections: Arc<Connections>,
    /// Set where the host of Azure Functions calls.
    custom: Option<CustomHandler>,
    draining: AtomicBool,
}

impl Shared {
    fn hosts(&self) -> impl Iterator<Item = &Host> {
        [&*self.host, &*self.detached_host].into_iter()
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// A runtime that listens.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens, and serves nobody yet. Unpacked programs are kept in `cache_dir`.
    pub async fn bind(config: ServeConfig, storage: Arc<dyn Storage>, cache_dir: &Path) -> Result<Self> {
        Self::bind_as(config, storage, cache_dir, None).await
    }

    async fn bind_as(
        config: ServeConfig,
        storage: Arc<dyn Storage>,
        cache_dir: &Path,
        custom: Option<CustomHandler>,
    ) -> Result<Self> {
        let tls = config.tls.as_ref().map(|(cert, key)| tls::acceptor(cert, key)).transpose()?;
        let address = config.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Error::new(ErrorKind::Config, format!("{address} cannot be listened on")).with_source(error)
        })?;
        let mut pool = config.processes.pool_options(ImageId([0; 32]));
        pool.heartbeat = Some(HEARTBEAT);
        let ways = config.storage_variables.iter();
        let ways = ways.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        pool.set = own_settings().chain(ways).collect();
        // Wherever it comes from here: a file of it is not named alike everywhere, and need not be theirs to read.
        pool.set.extend(config.passed_secret().map(|secret| (HTTP_SECRET.name.into(), secret.into())));
        let unpacked = cache_dir.join("unpacked");
        let images = match &custom {
            Some(custom) => ImageCache::shared_with(&custom.isolation, unpacked, config.image_cache),
            None => ImageCache::new(unpacked, config.image_cache),
        };
        pool.isolation = custom.as_ref().map(|custom| custom.isolation.clone());
        let options = HostOptions { pool, images, warm_images: config.warm_images, idle: config.idle };
        let mut detached = options.clone();
        detached.pool.workers = config.detached;
        // A platform collects what this program prints; elsewhere that is the log of a service or a terminal.
        let host = |options| {
            let host = Host::new(options, Arc::clone(&storage));
            Arc::new(if config.secrets.is_none() { host.heard_by(task_log::print) } else { host })
        };
        let shared = Shared {
            host: host(options),
            detached_host: host(detached),
            gate: Gate::new(config.secrets.as_ref()),
            room: config.max_answer.map_or(Room::STREAM, Room::body),
            metrics: Metrics::default(),
            slots: Slots::new(config.processes.workers, config.queue_time),
            detached_slots: Slots::new(config.detached, Duration::ZERO),
            object_slots: Slots::new(objects::AT_ONCE, objects::WAIT),
            connections: Arc::new(Connections::new(config.max_connections)),
            custom,
            draining: AtomicBool::new(false),
            config,
        };
        Ok(Self { listener, tls, shared: Arc::new(shared) })
    }

    /// Where it listens, with the port that port 0 has become.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| {
            Error::new(ErrorKind::Internal, "the address that is listened on").with_source(error)
        })
    }

    /// Serves until `stop`, and then until what runs is done, or handed back after the time that the configuration gives
    /// it. Meanwhile `/healthz` says that no more invocations are taken.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, tls, shared } = self;
        let (closing, closed) = watch::channel(false);
        let accepting = async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => accept(&shared, stream, tls.clone(), closed.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be taken");
                        tokio::time::sleep(NO_DESCRIPTORS).await;
                    }
                }
            }
        };
        let sweeping = async {
            let mut ticks = interval(SWEEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                shared.hosts().for_each(Host::sweep);
            }
        };
        let mut serving = pin!(async { tokio::join!(accepting, sweeping) });
        tokio::select! {
            _ = &mut serving => {}
            () = stop => {}
        }
        tracing::info!("ending: no more invocations are taken");
        shared.draining.store(true, Ordering::Relaxed);
        let until = Instant::now() + shared.config.drain;
        shared.hosts().for_each(|host| host.wind_down(until));
        let all_done = async { tokio::join!(shared.slots.all_free(), shared.detached_slots.all_free()) };
        tokio::select! {
            _ = &mut serving => {}
            // A little more than the processes get: what they hand back is to be passed on.
            _ = timeout(shared.config.drain + FLUSH, all_done) => {}
        }
        closing.send_replace(true);
        if timeout(FLUSH, shared.connections.all_closed()).await.is_err() {
            tracing::warn!("some callers did not take their answers in time");
        }
        shared.hosts().for_each(Host::shutdown);
        tracing::info!("ended");
    }
}

/// The settings of this runtime's own `[compute]` that its environment has, as empty ones, which count as not set: what
/// tasks start jobs on is something else, and would know neither these keys nor what they mean there.
fn own_settings() -> impl Iterator<Item = (OsString, OsString)> {
    let prefix = format!("{OVERRIDE_PREFIX}COMPUTE__");
    let own = Environment::of_process();
    let names: Vec<OsString> = own.iter().map(|(name, _)| name.to_owned()).collect();
    let of_compute = move |name: &OsString| name.to_str().is_some_and(|name| name.starts_with(&prefix));
    names.into_iter().filter(of_compute).map(|name| (name, OsString::new()))
}

/// Serves a connection, on a task of its own.
fn accept(shared: &Arc<Shared>, stream: TcpStream, tls: Option<TlsAcceptor>, closing: watch::Receiver<bool>) {
    shared.metrics.connections.count();
    let Some(place) = shared.connections.add() else {
        shared.metrics.connections_refused.count();
        return;
    };
    if let Some(custom) = &shared.custom
        && !peer::may_call(&stream, &custom.isolation)
    {
        shared.metrics.connections_refused.count();
        return;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small packets may wait");
    }
    let shared = Arc::clone(shared);
    tokio::spawn(connection::serve(shared, stream, tls, place, closing));
}
