//! Sleep of a device that has no jobs.

use std::iter::repeat_with;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::bench::PATIENCE;
use crate::program::Program;
use crate::rule::{Area::Power as AREA, Rule};
use crate::uapi::{BIND_UNMAP, QueueCreate};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};
use crate::{Bench, Node};

const WRITTEN: &str = "Documentation/power/runtime_pm.rst";

/// What sysfs says of the device's runtime power management.
struct Power(PathBuf);

impl Power {
    fn of(node: &Node) -> Kept<Self> {
        let class = Path::new("/sys/class/accel");
        let name = node.path().file_name().unwrap_or_default();
        let power = Self(class.join(name).join("device/power"));
        if power.status()? == "unsupported" {
            return Err(Unproven::lacking("no runtime power management"));
        }
        Ok(power)
    }

    fn read(&self, file: &str) -> Kept<String> {
        let path = self.0.join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Unproven::lacking(format!("cannot read {}: {error}", path.display()))
        })?;
        Ok(text.trim().to_owned())
    }

    fn status(&self) -> Kept<String> {
        self.read("runtime_status")
    }

    /// How long the device stays awake without jobs.
    fn delay(&self) -> Kept<Duration> {
        let delay = self.read("autosuspend_delay_ms")?;
        let delay = delay.parse().map_err(|_| {
            Unproven::lacking(format!("the device sleeps after {delay} milliseconds"))
        })?;
        Ok(Duration::from_millis(delay))
    }

    fn falls_asleep(&self) -> Kept {
        let begin = Instant::now();
        while self.status()? != "suspended" {
            holds(begin.elapsed() < PATIENCE, || {
                format!("it is awake after {PATIENCE:?}")
            })?;
            std::thread::yield_now();
        }
        Ok(())
    }
}

/// Looks at the device while it has jobs for longer than it is awake without any.
fn stays_awake(t: &Bench) -> Kept {
    let (power, begin) = (Power::of(&t.node)?, Instant::now());
    let slow = t.load(&Program::slow(1 << 10, t.device.target))?;
    let patient = |queue: &mut QueueCreate| queue.timeout_ms = t.device.max_timeout_ms;
    let queue_id = t.create_queue(patient)?;
    let submit = || t.submit_work(&slow, |s| s.submit.queue_id = queue_id);
    let jobs: Result<Vec<_>, _> = repeat_with(submit).take(32).collect();
    for job in jobs.succeeds("SUBMIT")? {
        while t.node.wait(job, Duration::ZERO) == Err(Errno::ETIME) {
            same("status", power.status()?.as_str(), "active")?;
        }
    }
    match power.delay()? {
        delay if begin.elapsed() > delay => Ok(()),
        delay => Err(Unproven::lacking(format!("jobs of more than {delay:?}"))),
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "a_device_without_jobs_sleeps",
        WRITTEN,
        "a device that has no jobs for a while is suspended, and the next job wakes it up",
        |t| {
            let power = Power::of(&t.node)?;
            for seed in [1, 2] {
                power.falls_asleep()?;
                t.works(seed)?;
                same("status behind a job", power.status()?.as_str(), "active")?;
            }
            Ok(())
        },
    ),
    Rule::kept(
        AREA,
        "a_job_keeps_the_device_awake",
        WRITTEN,
        "a device whose job takes longer than it is awake without jobs stays active",
        stays_awake,
    ),
    Rule::kept(
        AREA,
        "memory_changes_in_its_sleep",
        WRITTEN,
        "VMs can be made, changed and destroyed while the device sleeps, and the next job sees it",
        |t| {
            let power = Power::of(&t.node)?;
            let va = t.va.start + t.bo.size;
            power.falls_asleep()?;
            t.vm_bind(|_, op| op.va = va).succeeds("VM_BIND")?;
            t.vm_bind(|_, op| (op.kind, op.bo_handle) = (BIND_UNMAP, 0))
                .succeeds("VM_BIND")?;
            let other = t.another()?;
            same("status", power.status()?.as_str(), "suspended")?;
            drop(other);
            t.work.fill(3);
            let moved = t.submit(|s| {
                (s.segments[2].va, s.segments[3].va) = (va, va + t.work.pitch);
                s.jobs[0].run.program_va = va + 2 * t.work.pitch;
            });
            t.ends(moved.succeeds("SUBMIT")?)?;
            t.work.is_copied(3)
        },
    ),
];
