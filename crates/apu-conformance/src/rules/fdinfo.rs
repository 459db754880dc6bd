//! What is accounted to whom, as Documentation/gpu/drm-usage-stats.rst says.

use std::collections::HashMap;
use std::iter::repeat_with;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::program::Program;
use crate::rule::{Area::Fdinfo as AREA, Rule};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};
use crate::{Bench, Node};

const WRITTEN: &str = "Documentation/gpu/drm-usage-stats.rst";

/// The keys of a file, with their values.
struct Fdinfo(HashMap<String, String>);

impl Fdinfo {
    fn of(node: &Node) -> Kept<Self> {
        let path = format!("/proc/self/fdinfo/{}", node.fd().as_raw_fd());
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Unproven::lacking(format!("cannot read {path}: {error}")))?;
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let pairs: HashMap<_, _> = pairs
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        if pairs.keys().any(|key| key.starts_with("drm-")) {
            Ok(Self(pairs))
        } else {
            Err(Unproven::lacking("the driver has no fdinfo (drm-*)"))
        }
    }

    fn text(&self, key: &str) -> Kept<&str> {
        let value = self.0.get(key);
        value
            .map(String::as_str)
            .ok_or_else(|| Unproven::broken(format!("no {key}")))
    }

    /// Nanoseconds of all engines.
    fn busy(&self) -> Kept<Duration> {
        let engines: Vec<_> = self
            .0
            .iter()
            .filter(|(key, _)| {
                key.starts_with("drm-engine-") && !key.starts_with("drm-engine-capacity-")
            })
            .collect();
        if engines.is_empty() {
            return Err(Unproven::lacking(
                "the driver accounts no engine (drm-engine-*)",
            ));
        }
        let mut sum = 0;
        for (key, value) in engines {
            let nanoseconds = value
                .strip_suffix(" ns")
                .and_then(|number| number.parse::<u64>().ok());
            sum += nanoseconds
                .ok_or_else(|| Unproven::broken(format!("{key}: {value}, wanted N ns")))?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Bytes of the regions under `key`, such as `drm-total-`.
    fn bytes(&self, key: &str) -> Kept<u64> {
        let mut regions = self
            .0
            .iter()
            .filter(|(name, _)| name.starts_with(key))
            .peekable();
        if regions.peek().is_none() {
            return Err(Unproven::lacking(format!(
                "the driver accounts no memory ({key}*)"
            )));
        }
        regions.try_fold(0, |sum, (name, value)| {
            let mut words = value.split_whitespace();
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            let unit = match words.next() {
                None => Some(0),
                Some("KiB") => Some(10),
                Some("MiB") => Some(20),
                Some(_) => None,
            };
            let bytes = number.zip(unit).map(|(number, unit)| number << unit);
            bytes
                .map(|bytes| sum + bytes)
                .ok_or_else(|| Unproven::broken(format!("{name}: {value}, wanted N [KiB|MiB]")))
        })
    }
}

fn busy(t: &Bench) -> Kept<Duration> {
    Fdinfo::of(&t.node)?.busy()
}

/// The time that clients are told together, and between which moments it was read.
struct Reading {
    before: Instant,
    busy: Duration,
    after: Instant,
}

impl Reading {
    fn of(clients: &[&Bench]) -> Kept<Self> {
        let before = Instant::now();
        let busy = clients.iter().map(|client| busy(client)).sum::<Kept<_>>()?;
        let after = Instant::now();
        Ok(Self {
            before,
            busy,
            after,
        })
    }
}

/// How often a machine that is busy with something else may come between readings.
const READINGS: usize = 3;

/// That jobs of the clients run, and all the time from one reading to the next is accounted. `job` is
/// the first one's, and goes on.
fn busy_all_the_time(clients: &[&Bench], job: u32) -> Kept {
    let started = |reading: &Kept<Reading>| !matches!(reading, Ok(at) if at.busy.is_zero());
    let first = repeat_with(|| Reading::of(clients)).find(started);
    let mut first = first.unwrap_or_else(|| Err(Unproven::broken("no job starts")))?;
    let mut all = Ok(());
    for _ in 0..READINGS {
        let waited = clients
            .first()
            .map(|client| client.node.wait(job, Duration::from_millis(500)));
        same(
            "SYNCOBJ_WAIT for a long job",
            waited,
            Some(Err(Errno::ETIME)),
        )?;
        let last = Reading::of(clients)?;
        all = all_between(&first, &last);
        if all.is_ok() {
            break;
        }
        first = last;
    }
    all
}

/// That all the time between two readings is accounted.
fn all_between(first: &Reading, last: &Reading) -> Kept {
    let counted = last.busy.saturating_sub(first.busy);
    let (least, most) = (last.before - first.after, last.after - first.before);
    holds(
        counted >= least.mul_f64(0.98) && counted <= most.mul_f64(1.02),
        || format!("{counted:?} were counted in {least:?} to {most:?}"),
    )
}

/// Queues jobs for seconds, all on one core; the last one.
fn keep_busy(t: &Bench) -> Kept<u32> {
    let slow = t.load(&Program::slow(1 << 10, t.device.target))?;
    let queue_id = t.create_queue(|queue| {
        (queue.timeout_ms, queue.core_mask) = (t.device.max_timeout_ms, 1);
    })?;
    let submit = || t.submit_work(&slow, |s| s.submit.queue_id = queue_id);
    for _ in 0..31 {
        submit().succeeds("SUBMIT")?;
    }
    submit().succeeds("SUBMIT")
}

/// What the regions under `key` have of the bench's file.
fn memory(t: &Bench, key: &str) -> Kept<u64> {
    Fdinfo::of(&t.node)?.bytes(key)
}

/// Bytes that are in use; the key may be left out when none are.
fn active(t: &Bench) -> Kept<u64> {
    match memory(t, "drm-active-") {
        Err(Unproven::Lacking { .. }) => Ok(0),
        bytes => bytes,
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "names_the_driver",
        WRITTEN,
        "fdinfo names the driver",
        |t| {
            same(
                "drm-driver",
                Fdinfo::of(&t.node)?.text("drm-driver")?,
                "apu",
            )
        },
    ),
    Rule::kept(
        AREA,
        "names_each_client",
        WRITTEN,
        "each file has a drm-client-id of its own",
        |t| {
            let other = t.node.another()?;
            let (one, other) = (Fdinfo::of(&t.node)?, Fdinfo::of(&other)?);
            let (one, other) = (one.text("drm-client-id")?, other.text("drm-client-id")?);
            holds(one != other, || format!("{one} for both"))
        },
    ),
    Rule::kept(
        AREA,
        "time_is_the_clients_own",
        WRITTEN,
        "drm-engine-* grows with the jobs of a client, and with no other one's",
        |t| {
            let (other, before) = (t.another()?, busy(t)?);
            let idle = busy(&other)?;
            let slow = t.load(&Program::slow(128, t.device.target))?;
            t.ends(t.submit_work(&slow, |_| ()).succeeds("SUBMIT")?)?;
            let grown = busy(t)?.saturating_sub(before);
            holds(grown > Duration::from_micros(100), || {
                format!("{grown:?} for a job of milliseconds")
            })?;
            same("time of a client without jobs", busy(&other)?, idle)
        },
    ),
    Rule::kept(
        AREA,
        "time_is_exact",
        WRITTEN,
        "drm-engine-* of a client with one running job grows as time goes by, within 2 %",
        |t| {
            let long = t.load(&Program::slow(1 << 15, t.device.target))?;
            let queue_id = t.create_queue(|queue| queue.timeout_ms = t.device.max_timeout_ms)?;
            let job = t
                .submit_work(&long, |s| s.submit.queue_id = queue_id)
                .succeeds("SUBMIT")?;
            busy_all_the_time(&[t], job)
        },
    ),
    Rule::kept(
        AREA,
        "time_is_exact_under_load",
        WRITTEN,
        "drm-engine-* of clients whose jobs take turns on a core grow together as time goes by, within 2 %",
        |t| {
            let other = t.another()?;
            let last = keep_busy(t)?;
            keep_busy(&other)?;
            busy_all_the_time(&[t, &other], last)
        },
    ),
    Rule::kept(
        AREA,
        "memory_with_pages_is_resident",
        WRITTEN,
        "drm-resident-* counts a BO once it has pages",
        |t| {
            let before = memory(t, "drm-resident-")?;
            let mut bo = crate::uapi::BoCreate {
                size: 64 * t.page(),
                ..Default::default()
            };
            t.node.call(&mut bo).succeeds("BO_CREATE")?;
            same("bytes of a new BO", memory(t, "drm-resident-")? - before, 0)?;
            let bind = t.vm_bind(|_, op| {
                (op.bo_handle, op.va, op.size) = (bo.handle, t.va.start + t.bo.size, bo.size);
            });
            bind.succeeds("VM_BIND")?;
            same(
                "bytes once it is bound",
                memory(t, "drm-resident-")? - before,
                bo.size,
            )
        },
    ),
    Rule::kept(
        AREA,
        "memory_of_a_job_is_active",
        WRITTEN,
        "drm-active-* counts the BOs that a VM maps as long as a job of it has not ended",
        |t| {
            let other = t.another()?;
            let long = t.load(&Program::slow(1 << 12, t.device.target))?;
            let queue_id = t.create_queue(|queue| queue.timeout_ms = t.device.max_timeout_ms)?;
            let job = t
                .submit_work(&long, |s| s.submit.queue_id = queue_id)
                .succeeds("SUBMIT")?;
            let mapped = t.bo.size + long.bo.size;
            same("bytes while it runs", active(t)?, mapped)?;
            same("bytes of a client without jobs", active(&other)?, 0)?;
            t.ends(job)?;
            same("bytes once it has ended", active(t)?, 0)
        },
    ),
    Rule::kept(
        AREA,
        "cycles_are_those_of_the_clients_jobs",
        WRITTEN,
        "drm-cycles-* is the sum of the cycles of the client's jobs",
        |t| {
            let other = t.another()?;
            let mut sum = 0;
            for queue_id in [t.queue_id, t.create_queue(|_| ())?] {
                let job = t.submit(|s| s.submit.queue_id = queue_id);
                t.ends(job.succeeds("SUBMIT")?)?;
                other.works(1)?;
                sum += t.state_of(queue_id)?.cycles;
            }
            if sum == 0 {
                return Err(Unproven::lacking("the device counts no cycles"));
            }
            let fdinfo = Fdinfo::of(&t.node)?;
            same(
                "cycles",
                fdinfo.text("drm-cycles-apu")?,
                sum.to_string().as_str(),
            )
        },
    ),
    Rule::kept(
        AREA,
        "memory_of_several_is_shared",
        WRITTEN,
        "drm-shared-* counts a BO that another file has, too",
        |t| {
            same("bytes of one's own", memory(t, "drm-shared-")?, 0)?;
            let other = t.node.another()?;
            let file = t.node.export(t.bo.handle).succeeds("PRIME_HANDLE_TO_FD")?;
            let mut import = crate::uapi::PrimeFdToHandle {
                fd: file.as_raw_fd(),
                ..Default::default()
            };
            other.call(&mut import).succeeds("PRIME_FD_TO_HANDLE")?;
            same("bytes", memory(t, "drm-shared-")?, t.bo.size)
        },
    ),
    Rule::kept(
        AREA,
        "memory_is_counted",
        WRITTEN,
        "drm-total-* grows by the bytes of a new BO",
        |t| {
            let total = || Fdinfo::of(&t.node)?.bytes("drm-total-");
            let before = total()?;
            let mut bo = crate::uapi::BoCreate {
                size: 64 * t.page(),
                ..Default::default()
            };
            t.node.call(&mut bo).succeeds("BO_CREATE")?;
            same("bytes", total()? - before, bo.size)?;
            t.node.close(bo.handle).succeeds("GEM_CLOSE")?;
            same("bytes once it is closed", total()?, before)
        },
    ),
];
