//! Options: a key and a value from the framework, else a variable `APU_KEY` of the environment.

use std::path::PathBuf;
use std::time::Duration;

use apu::{ContextOptions, Device, Priority};
use apu_compiler::Options;
use apu_compiler::cache::Cache;

use crate::error::Error;

/// What the user asked for.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub device: String,
    pub compile: Options,
    /// None if nothing shall be kept.
    pub cache: Option<Cache>,
    pub context: ContextOptions,
    pub format: Format,
    /// Standard error if none.
    pub report_file: Option<PathBuf>,
    pub require_full: bool,
}

/// How placement is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            device: Device::IN_PROCESS.into(),
            compile: Options::default(),
            cache: Cache::of_user(),
            context: ContextOptions::default(),
            format: Format::Text,
            report_file: None,
            require_full: false,
        }
    }
}

/// One option.
struct Key {
    name: &'static str,
    /// What its values may be, as the end of "it may be ...".
    allowed: &'static str,
    /// Takes a value; `None` if it isn't allowed.
    set: fn(&mut Settings, &str) -> Option<()>,
}

const KEYS: &[Key] = &[
    Key {
        name: "device",
        allowed: "`in-process`, or the path of a node such as /dev/accel/accel0",
        set: |settings, value| {
            let known = value == Device::IN_PROCESS || value.contains('/');
            known.then(|| settings.device = value.into())
        },
    },
    Key {
        name: "numerics",
        allowed: "`tflite` or `xnnpack`",
        set: |settings, value| {
            settings.compile.numerics = value.parse().ok()?;
            Some(())
        },
    },
    Key {
        name: "report",
        allowed: "`text`, `json` or `none`",
        set: |settings, value| {
            settings.format = match value {
                "text" => Format::Text,
                "json" => Format::Json,
                "none" => Format::None,
                _ => return None,
            };
            Some(())
        },
    },
    Key {
        name: "report_file",
        allowed: "the path of a file",
        set: |settings, value| {
            (!value.is_empty()).then(|| settings.report_file = Some(value.into()))
        },
    },
    Key {
        name: "require_full",
        allowed: TRUTHS,
        set: |settings, value| {
            settings.require_full = truth(value)?;
            Some(())
        },
    },
    Key {
        name: "cache",
        allowed: TRUTHS,
        set: |settings, value| {
            settings.cache = if truth(value)? {
                Cache::of_user()
            } else {
                None
            };
            Some(())
        },
    },
    Key {
        name: "priority",
        allowed: "`low`, `normal`, `high` or `realtime`",
        set: |settings, value| {
            settings.context.queue.priority = match value {
                "low" => Priority::Low,
                "normal" => Priority::Normal,
                "high" => Priority::High,
                "realtime" => Priority::Realtime,
                _ => return None,
            };
            Some(())
        },
    },
    Key {
        name: "threads",
        allowed: "a number of threads from 1 to 16",
        set: |settings, value| {
            let threads = value.parse().ok().filter(|it| (1..=16).contains(it))?;
            settings.context.queue.threads = threads;
            Some(())
        },
    },
    Key {
        name: "timeout_ms",
        allowed: "a number of milliseconds from 1 to 60000",
        set: |settings, value| {
            settings.context.queue.timeout = milliseconds(value, 60_000)?;
            Some(())
        },
    },
    Key {
        name: "patience_ms",
        allowed: "a number of milliseconds from 1 to 600000",
        set: |settings, value| {
            settings.context.patience = milliseconds(value, 600_000)?;
            Some(())
        },
    },
];

const TRUTHS: &str = "`0` or `1`, `false` or `true`";

/// Python's own words for them begin with a capital.
fn truth(value: &str) -> Option<bool> {
    match value {
        "0" | "false" | "False" => Some(false),
        "1" | "true" | "True" => Some(true),
        _ => None,
    }
}

fn milliseconds(value: &str, most: u64) -> Option<Duration> {
    let number = value.parse().ok().filter(|n| (1..=most).contains(n));
    number.map(Duration::from_millis)
}

impl Settings {
    /// The environment's, then on top of them the framework's.
    pub fn new(
        options: &[(&str, &str)],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let mut settings = Self::default();
        for key in KEYS {
            let variable = format!("APU_{}", key.name.to_uppercase());
            if let Some(value) = environment(&variable) {
                let place = || format!("environment variable {variable}");
                settings.set(key, &value, place)?;
            }
        }
        for (name, value) in options {
            let key = KEYS.iter().find(|key| key.name == *name);
            let key = key.ok_or_else(|| unknown(name))?;
            settings.set(key, value, || format!("option {name}"))?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &Key, value: &str, place: impl Fn() -> String) -> Result<(), Error> {
        (key.set)(self, value).ok_or_else(|| Error::Setting {
            place: place(),
            value: value.into(),
            allowed: key.allowed,
        })
    }
}

fn unknown(key: &str) -> Error {
    let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    Error::UnknownOption {
        key: key.into(),
        known: known.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::new(options, |_| None).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_known_ones() {
        assert_eq!(
            settings(&[("devise", "in-process")]).unwrap_err(),
            "the APU delegate has no option `devise`; it has device, numerics, report, \
             report_file, require_full, cache, priority, threads, timeout_ms, patience_ms"
        );
    }

    #[test]
    fn a_value_that_is_nonsense_is_named_with_what_is_allowed() {
        let cases = [
            (
                ("require_full", "maybe"),
                "option require_full is `maybe`; it may be `0` or `1`, `false` or `true`",
            ),
            (
                ("timeout_ms", "-3"),
                "option timeout_ms is `-3`; it may be a number of milliseconds from 1 to 60000",
            ),
            (
                ("device", ""),
                "option device is ``; it may be `in-process`, or the path of a node such as \
                 /dev/accel/accel0",
            ),
            (
                ("numerics", "gemmlowp"),
                "option numerics is `gemmlowp`; it may be `tflite` or `xnnpack`",
            ),
        ];
        for (option, text) in cases {
            assert_eq!(settings(&[option]).unwrap_err(), text);
        }
    }

    #[test]
    fn every_key_refuses_something() {
        for key in KEYS {
            assert!(
                settings(&[(key.name, "")]).is_err(),
                "{} takes an empty value",
                key.name
            );
        }
    }

    #[test]
    fn options_go_before_the_environment() {
        let environment = |name: &str| (name == "APU_REPORT").then(|| "json".to_owned());
        let format = |options| Settings::new(options, environment).unwrap().format;
        assert_eq!(format(&[]), Format::Json);
        assert_eq!(format(&[("report", "none")]), Format::None);
        let nonsense = |name: &str| (name == "APU_REPORT").then(|| "yaml".to_owned());
        assert_eq!(
            Settings::new(&[], nonsense).unwrap_err().to_string(),
            "environment variable APU_REPORT is `yaml`; it may be `text`, `json` or `none`"
        );
    }
}
