//! `apu classify`: a picture in, ranked labels out.

use std::io::{Write, stdout};

use apu::{Context, Program};
use image::DynamicImage;
use serde::Serialize;

use crate::args::Classify;
use crate::console::Console;
use crate::error::Error;
use crate::labels::Labels;
use crate::model_file::ModelFile;
use crate::scores::{self, Score};
use crate::{picture, pixels};

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
    let program = console.step("compiling", || subject.model.program())?;
    check_output(&subject, &program)?;
    let mut context = super::load(&args.device.device, program)?;
    let scores = scores(&subject.model, &mut context, args, &subject.picture)?;
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
        write!(
            stdout(),
            "{}\n",
            picture::as_text(&subject.picture, PICTURE_COLUMNS)
        )?;
    }
    print(&report)
}

/// Columns of the picture that comes with this program: each of its pixels gets whole characters.
const PICTURE_COLUMNS: u32 = 32;

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

/// Says so when the labels are for another model: too few or too many.
fn check_output(subject: &Subject, program: &Program) -> Result<(), Error> {
    let [output] = program.outputs() else {
        let what = format!(
            "it has {} outputs, one holds the scores",
            program.outputs().len()
        );
        return Err(not_a_classifier(&subject.model, what));
    };
    let classes: usize = output.shape.iter().product();
    if let Some(labels) = subject
        .labels
        .as_ref()
        .filter(|labels| labels.len() != classes)
    {
        tracing::warn!(
            "{} labels for {classes} classes: the names may be wrong",
            labels.len()
        );
    }
    Ok(())
}

fn scores(
    model: &ModelFile,
    context: &mut Context,
    args: &Classify,
    picture: &DynamicImage,
) -> Result<Vec<Score>, Error> {
    let device = Error::device(&args.device.device);
    let loaded = context.model().clone();
    let program = loaded.program();
    let [_input] = program.inputs() else {
        let what = format!(
            "it has {} inputs, one picture goes in",
            program.inputs().len()
        );
        return Err(not_a_classifier(model, what));
    };
    let input = context.input_mut(0).map_err(&device)?;
    pixels::fill(program, picture, input).map_err(|what| not_a_classifier(model, what))?;
    context.run_in_place().map_err(&device)?;
    let bytes = context.output(0).map_err(&device)?;
    let [output, ..] = program.outputs() else {
        return Ok(Vec::new());
    };
    scores::best(output, bytes, args.top.get()).map_err(|what| not_a_classifier(model, what))
}

fn not_a_classifier(model: &ModelFile, what: String) -> Error {
    Error::NotAClassifier {
        path: model.name.clone(),
        what,
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
