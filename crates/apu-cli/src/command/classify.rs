//! `apu classify`: a picture in, ranked labels out.

use std::io::{Write, stdout};

use apu::Program;
use image::DynamicImage;
use serde::Serialize;
use terminal_size::{Width, terminal_size_of};

use crate::args::Classify;
use crate::console::Console;
use crate::error::Error;
use crate::labels::Labels;
use crate::model_file::ModelFile;
use crate::picture;
use crate::pixels::Encoder;
use crate::scores::{self, Score};

/// What to look at, and with what.
struct Subject {
    model: ModelFile,
    labels: Option<Labels>,
    image: String,
    picture: DynamicImage,
    /// Whether the picture is our own, which nobody has seen.
    show: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    image: &'a str,
    classes: Vec<Class<'a>>,
}

#[derive(Serialize)]
struct Class<'a> {
    index: usize,
    label: Option<&'a str>,
    score: f32,
}

pub fn run(args: &Classify, console: &Console) -> Result<(), Error> {
    let subject = subject(args)?;
    let program = console.step("compiling", || subject.model.program(&args.compile))?;
    let scores = scores(args, &subject, program)?;
    let report = Report {
        model: &subject.model.name,
        image: &subject.image,
        classes: scores
            .iter()
            .map(|score| class(score, subject.labels.as_ref()))
            .collect(),
    };
    if args.json {
        return super::print_json(&report);
    }
    if subject.show {
        writeln!(
            stdout(),
            "{}",
            picture::as_text(&subject.picture, columns())
        )?;
    }
    print(&report)
}

/// Columns of the picture that comes with this program: enough to see it, and no more than fit.
fn columns() -> u16 {
    const ENOUGH: u16 = 32;
    terminal_size_of(stdout()).map_or(ENOUGH, |(Width(width), _)| width.min(ENOUGH))
}

fn subject(args: &Classify) -> Result<Subject, Error> {
    let (Some(model), Some(image)) = (&args.model, &args.image) else {
        let labels = Some(match &args.labels {
            Some(path) => Labels::read(path)?,
            None => Labels::parse(include_str!("../../../../models/digits/labels.txt")),
        });
        let (model, picture) = (ModelFile::digits(), picture::digit()?);
        return Ok(Subject {
            model,
            labels,
            image: "digit.png".into(),
            picture,
            show: true,
        });
    };
    let model = ModelFile::read(model)?;
    let labels = match &args.labels {
        Some(path) => Some(Labels::read(path)?),
        None => model.labels(),
    };
    let picture = picture::read(image)?;
    Ok(Subject {
        model,
        labels,
        image: image.display().to_string(),
        picture,
        show: false,
    })
}

fn scores(args: &Classify, subject: &Subject, program: Program) -> Result<Vec<Score>, Error> {
    let refuse = |what| Error::NotAClassifier {
        path: subject.model.name.clone(),
        what,
    };
    let encoder = Encoder::of(&program).map_err(refuse)?;
    let [output] = program.outputs() else {
        return Err(refuse(format!(
            "it has {} outputs, one holds the scores",
            program.outputs().len()
        )));
    };
    let output = output.clone();
    warn_of_labels(subject.labels.as_ref(), output.shape.iter().product());

    let device = Error::device(&args.device.device);
    let mut context = super::load(&args.device, program)?;
    encoder.write(&subject.picture, context.input_mut(0).map_err(&device)?);
    context.run_in_place().map_err(&device)?;
    scores::best(&output, context.output(0).map_err(&device)?, args.top.get()).map_err(refuse)
}

/// Says so when the labels are for another model: too few or too many.
fn warn_of_labels(labels: Option<&Labels>, classes: usize) {
    if let Some(labels) = labels.filter(|labels| labels.len() != classes) {
        tracing::warn!(
            "{} labels for {classes} classes: the names may be wrong",
            labels.len()
        );
    }
}

fn class<'a>(score: &Score, labels: Option<&'a Labels>) -> Class<'a> {
    let label = labels.and_then(|labels| labels.get(score.class));
    Class {
        index: score.class,
        label,
        score: score.score,
    }
}

/// Lines as label_image writes them.
fn print(report: &Report<'_>) -> Result<(), Error> {
    let mut out = stdout().lock();
    for class in &report.classes {
        let Class {
            index,
            label,
            score,
        } = class;
        match label {
            Some(label) => writeln!(out, "{score:.6}: {index} {label}")?,
            None => writeln!(out, "{score:.6}: {index}")?,
        }
    }
    Ok(())
}
