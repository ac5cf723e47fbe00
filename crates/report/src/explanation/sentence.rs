//! Why two builds differ: one sentence that says where and why.

use concord_lab::Verdict;
use concord_lab::explain::{
    Batches, EncoderFinding, Explanation, Forced, InputKind, OptionDifference, OptionKind,
};

use super::masks;
use super::places::{listed, modules_in_short, named, quoted, sides};
use super::words::{in_short, made_by};
use crate::figures::{count, several};

/// The answer in one sentence of at most sixty words, every part of which was measured.
pub fn sentence(explanation: &Explanation) -> String {
    if explanation.verdict == Verdict::Same {
        return "A and B are the same, bit for bit.".to_owned();
    }
    if explanation
        .inputs
        .iter()
        .any(|input| input.kind.is_essential())
    {
        return other_inputs(explanation);
    }
    if let Some(text) = with_itself(explanation) {
        return text;
    }
    let settings = explanation.inputs.iter().map(|input| input.what.as_str());
    let settings: Vec<&str> = settings.collect();
    let place = place(explanation);
    let parts = match (&place, settings.as_slice()) {
        (Some(place), []) => format!("A and B{} part at {place}", told_apart_by(explanation)),
        (Some(place), settings) => format!(
            "A and B were given other settings ({}), and part beside that at {place}",
            settings.join("; ")
        ),
        (None, []) => "A and B differ, and what was kept does not tell where they part".to_owned(),
        (None, settings) => {
            let rest = match explanation.on_other_inputs {
                Some(_) => "every other stage of B makes of A's inputs what A made",
                None => "what else may separate them was not found",
            };
            format!(
                "A and B were given other settings: {}; {rest}",
                settings.join("; ")
            )
        }
    };
    format!("{parts}.")
}

/// The two did not start from the same.
fn other_inputs(explanation: &Explanation) -> String {
    let what = explanation.inputs.iter().map(|i| without_hashes(&i.what));
    let what: Vec<&str> = what.collect();
    let mut text = format!(
        "A and B did not start from the same: {}",
        what.join(", and ")
    );
    let checkpoint = |kind| kind == InputKind::Checkpoint;
    let departures = explanation
        .encoder
        .as_ref()
        .and_then(|encoder| encoder.departures.as_ref());
    let first = departures.and_then(|departures| departures.first());
    if let Some(first) = first
        && explanation
            .inputs
            .iter()
            .any(|input| checkpoint(input.kind))
    {
        text.push_str(&format!(
            "; on equal inputs their outputs differ first at `{}` ({})",
            first.module, first.operation
        ));
    }
    text.push('.');
    text
}

/// What was given, without the hashes that end it: those are above.
fn without_hashes(what: &str) -> &str {
    let hashes = [" (sha256:", " (blake2b:"];
    let found = hashes.iter().find_map(|hash| what.split_once(hash));
    found.map_or(what, |(before, _)| before)
}

/// A side that does not agree with itself, and the modules that are why.
fn with_itself(explanation: &Explanation) -> Option<String> {
    let unstable = explanation
        .unstable
        .each_ref()
        .map(|side| side.as_ref().is_some_and(|differing| !differing.is_empty()));
    let who = match unstable {
        [false, false] => return None,
        [true, false] => "A does not agree with itself",
        [false, true] => "B does not agree with itself",
        [true, true] => "neither A nor B agrees with itself",
    };
    let forced = explanation
        .encoder
        .as_ref()
        .and_then(|encoder| encoder.forced.as_ref());
    let random = forced.map(|forced| {
        let mut paths: Vec<String> = Vec::new();
        for path in forced.random.iter().flatten().flatten() {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        paths
    });
    let modules = match random.as_deref() {
        None => String::new(),
        Some([]) => "; no module gives two results on the same inputs".to_owned(),
        Some([only]) => format!("; on the same inputs `{only}` gives another result each time"),
        Some([first, more @ ..]) => format!(
            "; on the same inputs `{first}` and {} give another result each time",
            several(more.len(), "more module")
        ),
    };
    Some(format!(
        "{who}, run twice{modules}, so what separates the two cannot be told."
    ))
}

/// What the two describe themselves by, where one kind of option is all in which they do so differently and both
/// were run.
fn told_apart_by(explanation: &Explanation) -> String {
    let was_run = explanation
        .encoder
        .as_ref()
        .is_some_and(|encoder| encoder.forced.is_some());
    let options = &explanation.options;
    let Some(first) = options.first().filter(|_| was_run) else {
        return String::new();
    };
    if options.iter().any(|option| option.kind != first.kind) {
        return String::new();
    }
    format!(", which differ in {} alone,", described(options))
}

/// Options of one kind with their values on both sides.
fn described(options: &[OptionDifference]) -> String {
    let values =
        |option: &OptionDifference| format!("{} ({}, {})", option.name, option.a, option.b);
    // Much that comes with a version of PyTorch has a version of its own.
    let torch = options.iter().find(|option| option.name == "torch");
    match torch.filter(|option| option.kind == OptionKind::Version) {
        Some(torch) => format!("the version of {}", values(torch)),
        None => listed(options.iter().map(values)),
    }
}

/// Where they part, and why there.
fn place(explanation: &Explanation) -> Option<String> {
    let mut places = Vec::new();
    if let Some(encoder) = &explanation.encoder {
        places.extend(in_encoder(encoder));
    }
    // Where the modules are known, they say more than the encoder's output.
    let told = !places.is_empty();
    let culprits = explanation.culprits().into_iter();
    let after = culprits.filter(|artifact| !(told && *artifact == "batches"));
    let after: Vec<String> = after
        .map(|artifact| format!("`{artifact}` ({})", made_by(artifact)))
        .collect();
    places.extend((!after.is_empty()).then(|| listed(after.iter().map(String::clone))));
    (!places.is_empty()).then(|| places.join("; and at "))
}

fn in_encoder(encoder: &EncoderFinding) -> Option<String> {
    let passages = encoder.batches.as_ref().map_or(String::new(), of_passages);
    if let Some(forced) = &encoder.forced {
        return in_modules(forced, &passages).or_else(|| between(encoder));
    }
    let mut places: Vec<String> = between(encoder).into_iter().collect();
    places.extend(masks::in_short(&encoder.masks));
    if encoder.in_between.is_empty() {
        places.extend(departure(encoder));
    }
    (!places.is_empty()).then(|| places.join("; and at "))
}

/// The first module that departs on equal inputs.
fn departure(encoder: &EncoderFinding) -> Option<String> {
    let first = encoder.departures.as_ref()?.first()?;
    let passages = match first.few.as_slice() {
        [] => count(first.passages),
        few => {
            let few: Vec<String> = few.iter().map(usize::to_string).collect();
            format!("passage {} alone", few.join(", "))
        }
    };
    Some(format!(
        "`{}` ({}), for {passages} of the {} passages for which what it reads is the same",
        first.module,
        first.operation,
        count(first.of)
    ))
}

/// A module that does not hand on what another inside it computed.
fn between(encoder: &EncoderFinding) -> Option<String> {
    let found = encoder.in_between.first()?;
    Some(format!(
        "`{}`, which on {} does not hand on what `{}` computed, for {}",
        found.module,
        sides(found.sides),
        found.of,
        several(found.passages, "passage")
    ))
}

fn in_modules(forced: &Forced, passages: &str) -> Option<String> {
    if let Some(absent) = forced.absent.first() {
        let gives_back = match absent.gives_back {
            true => " and which gives back what it reads",
            false => "",
        };
        let own = std::slice::from_ref(&absent.module);
        let causes = forced.causes.iter();
        let others = causes.filter(|cause| cause.modules != own);
        return Some(format!(
            "{}, inside which {} runs nothing{gives_back}{passages}{}",
            quoted(&absent.module),
            sides(absent.sides),
            beside(forced, own, others.count())
        ));
    }
    let (cause, rest) = forced.causes.split_first()?;
    Some(format!(
        "{} ({}){passages}: {}{}",
        named(&cause.modules),
        modules_in_short(cause),
        in_short(cause, forced),
        beside(forced, &cause.modules, rest.len())
    ))
}

/// The modules that compute something else beside those that were told of, for how many other reasons.
fn beside(forced: &Forced, told: &[String], reasons: usize) -> String {
    let culprits = forced.culprits.iter();
    let others = culprits
        .filter(|culprit| !told.contains(&culprit.module))
        .count();
    match others {
        0 => String::new(),
        others => format!(
            "; {} for {}",
            several(others, "other module"),
            several(reasons, "other reason")
        ),
    }
}

/// For which passages the embeddings differ, by name where they are few, and the sizes of batches that differ, where
/// they are not those that agree.
fn of_passages(batches: &Batches) -> String {
    let few: Vec<String> = batches.few_differing.iter().map(usize::to_string).collect();
    let all = count(batches.passages);
    let passages = match few.as_slice() {
        [only] => format!(", for passage {only} of {all} alone"),
        [] => format!(
            ", for {} of {all} passages",
            count(batches.passages_differing)
        ),
        few => format!(", for passages {} of {all} alone", few.join(", ")),
    };
    let sizes = match (batches.rows_differing, batches.rows_same) {
        _ if !batches.same_shapes => String::new(),
        (Some((least, _)), Some((_, most))) if least > most => {
            format!(", in batches of {} rows and more", count(least))
        }
        (Some((_, most)), Some((least, _))) if most < least => {
            format!(", in batches of {} rows and fewer", count(most))
        }
        _ => String::new(),
    };
    passages + &sizes
}
