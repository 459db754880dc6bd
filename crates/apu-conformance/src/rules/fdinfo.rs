//! What is accounted to whom, as Documentation/gpu/drm-usage-stats.rst says.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::time::Duration;

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
