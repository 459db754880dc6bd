//! What was measured of whole models, for programs and for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::peak::Peak;

/// All of it.
#[derive(Serialize)]
pub struct Report {
    /// Rounds that counted.
    pub rounds: u32,
    /// Whose numbers ours are.
    pub numerics: String,
    /// How many times as long as ours another runtime takes, over all models that it took.
    pub geometric_means: BTreeMap<&'static str, f64>,
    /// What one thread of the machine can do, where it was measured.
    pub peak: Option<Peak>,
    /// What was measured of each model.
    pub models: Vec<Model>,
}

/// One model, and who ran it.
#[derive(Serialize)]
pub struct Model {
    /// Its file's name.
    pub name: String,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Median of our inferences.
    pub ours_us: f64,
    /// Share of the peak that our inference makes of it.
    pub share_of_peak: Option<f64>,
    /// The other runtimes.
    pub others: Vec<Other>,
}

/// What became of another runtime.
#[derive(Serialize)]
pub struct Other {
    /// As `tests/bench/contender.py` calls it.
    pub runtime: &'static str,
    /// Times, or a reason.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Times, or a reason.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It ran the model.
    Measured {
        /// Its version.
        version: String,
        /// Median of its inferences.
        median_us: f64,
        /// How many times as long as ours it takes.
        ratio: f64,
    },
    /// It didn't.
    Absent {
        /// Why.
        absent: String,
    },
}

impl Model {
    fn ratio(&self, runtime: &str) -> Option<f64> {
        let other = self.others.iter().find(|other| other.runtime == runtime)?;
        match other.outcome {
            Outcome::Measured { ratio, .. } => Some(ratio),
            Outcome::Absent { .. } => None,
        }
    }
}

/// How many times as long as ours a runtime takes, if it took any model.
pub fn geometric_mean(runtime: &str, models: &[Model]) -> Option<f64> {
    let ratios: Vec<f64> = models.iter().filter_map(|m| m.ratio(runtime)).collect();
    let logarithms: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (!ratios.is_empty()).then(|| (logarithms / ratios.len() as f64).exp())
}

impl fmt::Display for Report {
    /// A table in Markdown: our medians, and beside each runtime's how many times ours it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.models.first() else {
            return Ok(());
        };
        write!(f, "| model | MMAC | ours |")?;
        for other in &first.others {
            write!(f, " {} |", other.runtime)?;
        }
        write!(f, " of peak |\n|---|--:|--:|")?;
        writeln!(f, "{}--:|", "--:|".repeat(first.others.len()))?;
        for model in &self.models {
            writeln!(f, "{model}")?;
        }
        write!(f, "| geometric mean | | |")?;
        for other in &first.others {
            match self.geometric_means.get(other.runtime) {
                Some(mean) => write!(f, " {mean:.2}x |")?,
                None => write!(f, " |")?,
            }
        }
        writeln!(f, " |\n")?;
        self.notes(f)
    }
}

impl Report {
    fn notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Numerics: {}.", self.numerics)?;
        match &self.peak {
            Some(Peak {
                isa,
                macs_per_second,
            }) => {
                let rate = macs_per_second / 1e9;
                writeln!(f, "Peak: {rate:.0} int8 GMAC/s, one thread, {isa}.")?;
            }
            None => writeln!(f, "Peak: not measured.")?,
        }
        let others = self.models.iter().flat_map(|model| &model.others);
        let notes: BTreeMap<_, _> = others
            .map(|other| (other.runtime, &other.outcome))
            .collect();
        for (runtime, outcome) in notes {
            match outcome {
                Outcome::Measured { version, .. } => writeln!(f, "{runtime}: {version}.")?,
                Outcome::Absent { absent } => writeln!(f, "{runtime}: {absent}.")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millions = self.macs as f64 / 1e6;
        write!(
            f,
            "| {} | {millions:.2} | {:.1} us |",
            self.name, self.ours_us
        )?;
        for other in &self.others {
            match &other.outcome {
                Outcome::Measured {
                    median_us, ratio, ..
                } => {
                    write!(f, " {median_us:.1} us, {ratio:.2}x |")?;
                }
                Outcome::Absent { .. } => write!(f, " – |")?,
            }
        }
        match self.share_of_peak {
            Some(share) => write!(f, " {:.0} % |", share * 100.0),
            None => write!(f, " |"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Model, Other, Outcome, geometric_mean};

    fn model(ratio: Option<f64>) -> Model {
        let outcome = match ratio {
            Some(ratio) => Outcome::Measured {
                version: "1".into(),
                median_us: ratio,
                ratio,
            },
            None => Outcome::Absent {
                absent: "no".into(),
            },
        };
        Model {
            name: String::new(),
            macs: 0,
            ours_us: 1.0,
            share_of_peak: None,
            others: vec![Other {
                runtime: "it",
                outcome,
            }],
        }
    }

    #[test]
    fn a_mean_is_over_the_models_that_a_runtime_took() {
        let models = [model(Some(2.0)), model(None), model(Some(8.0))];
        let mean = geometric_mean("it", &models).unwrap();
        assert!((mean - 4.0).abs() < 1e-9, "{mean}");
        assert_eq!(geometric_mean("it", &models[1..2]), None);
        assert_eq!(geometric_mean("another", &models), None);
    }
}
