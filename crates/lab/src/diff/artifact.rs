//! One artifact on both sides.

use concord_index::format::KEPT;
use concord_tensor::closeness::Tolerance;

use super::error::DiffError;
use super::field;
use super::names::merged;
use super::passages::Passages;
use super::progress::DiffProgress;
use super::report::{Bits, DiffRow, Evidence, Outcome, Presence, RowKind, Spots, Unknown};
use crate::side::{Artifact, Field, Side, SideKind};

/// The row of the artifact of that name, which at least one side has.
pub(super) fn row(
    a: &Side,
    b: &Side,
    name: &str,
    tolerance: Tolerance,
    passages: &mut Passages<'_>,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<DiffRow, DiffError> {
    let kind = RowKind::Artifact;
    let (of_a, of_b) = (a.artifact(name)?, b.artifact(name)?);
    let (Some(of_a), Some(of_b)) = (&of_a, &of_b) else {
        // Of two runs of PyTorch one may have ended with the encoder, as the agent's do by itself.
        let same_kind = a.kind() == b.kind() && a.kind() != SideKind::ForeignRun;
        let comparable = same_kind || both_keep(a, b, name);
        return Ok(one_sided(
            name,
            kind,
            of_a.as_ref(),
            of_b.as_ref(),
            comparable,
        ));
    };
    let mut fields = Vec::new();
    for field in merged(names(of_a), names(of_b)) {
        let (Some(field_a), Some(field_b)) = (named(of_a, field), named(of_b, field)) else {
            let bits = Bits::Different(Evidence::Form);
            fields.push(field::one_sided(
                named(of_a, field),
                named(of_b, field),
                bits,
            ));
            continue;
        };
        let failed = |source| DiffError::Elements {
            name: name.to_owned(),
            source,
        };
        let mut diff = field::compare(field_a, field_b, tolerance, &mut |done, total| {
            progress(DiffProgress { name, done, total });
        })
        .map_err(failed)?;
        if let Some(numbers) = diff.numbers.as_mut().filter(|n| n.report.differing > 0)
            && let Some(&rows) = numbers.report.shape.first()
        {
            let lengths = passages.that_make_up(name, field, rows)?;
            numbers.spots = Spots::of(&numbers.report, |row| lengths.spot(row));
        }
        fields.push(diff);
    }
    Ok(DiffRow {
        name: name.to_owned(),
        kind,
        presence: Presence::Both,
        outcome: Outcome::of(&fields),
        fields,
        passages: None,
    })
}

/// Whether both are indexes, and it is one of the artifacts that every index keeps, whoever built it.
fn both_keep(a: &Side, b: &Side, name: &str) -> bool {
    a.index().is_some() && b.index().is_some() && KEPT.contains(&name)
}

/// The row of an artifact that one side lacks, which is a difference if the two are `comparable`.
fn one_sided(
    name: &str,
    kind: RowKind,
    a: Option<&Artifact<'_>>,
    b: Option<&Artifact<'_>>,
    comparable: bool,
) -> DiffRow {
    let (outcome, bits) = if comparable {
        (Outcome::Different, Bits::Different(Evidence::Form))
    } else {
        (Outcome::OneSided, Bits::Unknown(Unknown::OneSided))
    };
    let of_a = a.into_iter().flat_map(|known| &known.fields);
    let of_b = b.into_iter().flat_map(|known| &known.fields);
    let fields = of_a
        .map(|field| field::one_sided(Some(field), None, bits))
        .chain(of_b.map(|field| field::one_sided(None, Some(field), bits)))
        .collect();
    DiffRow {
        name: name.to_owned(),
        kind,
        presence: Presence::of(a.is_some(), b.is_some()),
        outcome,
        fields,
        passages: None,
    }
}

fn names<'a>(artifact: &'a Artifact<'_>) -> Vec<&'a str> {
    let fields = artifact.fields.iter();
    fields.map(|field| field.name.as_str()).collect()
}

/// The tensor of that name.
pub(super) fn named<'a, 'b>(artifact: &'a Artifact<'b>, name: &str) -> Option<&'a Field<'b>> {
    artifact.fields.iter().find(|field| field.name == name)
}
