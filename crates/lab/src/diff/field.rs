//! One tensor of an artifact on both sides.

use concord_tensor::TensorHasher;
use concord_tensor::closeness::{Closeness, ClosenessReport, Tolerance};

use super::report::{Bits, Evidence, FieldDiff, Numbers, Presence, Spots, Unknown};
use crate::elements::{Elements, ElementsError, PIECE};
use crate::side::{Field, Form, Part, Recorded};

/// A field that one side lacks; `bits` says whether that is a difference.
pub(super) fn one_sided(a: Option<&Field<'_>>, b: Option<&Field<'_>>, bits: Bits) -> FieldDiff {
    let form = |field: Option<&Field<'_>>| Some(field?.stored_form()?.into());
    FieldDiff {
        name: a.or(b).map(|field| field.name.clone()).unwrap_or_default(),
        a: form(a),
        b: form(b),
        shape_same: None,
        dtype_same: None,
        bits,
        values: None,
        numbers: None,
        referee: None,
    }
}

/// Compares a field that both sides have, without saying to which passages places belong; `progress` is
/// told how many bytes of how many have been compared.
pub(super) fn compare(
    a: &Field<'_>,
    b: &Field<'_>,
    tolerance: Tolerance,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<FieldDiff, ElementsError> {
    // The records of two sides speak of the same thing: what was computed. A record and a file need not,
    // as an index keeps its centroids rounded; so files are compared with files where records are not on
    // both sides.
    let forms = match (a.recorded_form(), b.recorded_form()) {
        (Some(a), Some(b)) => Some((a, b)),
        _ => a.stored_form().zip(b.stored_form()),
    };
    let Some((form_a, form_b)) = forms else {
        return Ok(one_sided(Some(a), Some(b), Bits::Unknown(Unknown::Grids)));
    };
    let shape_same = form_a.shape == form_b.shape;
    let dtype_same = form_a.dtype == form_b.dtype;
    let mut diff = FieldDiff {
        name: a.name.clone(),
        a: Some(form_a.into()),
        b: Some(form_b.into()),
        shape_same: Some(shape_same),
        dtype_same: Some(dtype_same),
        bits: Bits::Different(Evidence::Form),
        values: None,
        numbers: None,
        referee: None,
    };
    if !shape_same {
        return Ok(diff);
    }
    let by_hash = if dtype_same { same_hashes(a, b) } else { None };
    // Values looked up by hash are the same where the hashes are, and values that one side keeps rounded
    // would only show the rounding.
    let nothing_to_read =
        a.values.are_addressed() && b.values.are_addressed() || a.stored_form() != b.stored_form();
    if by_hash == Some(true) && nothing_to_read {
        diff.bits = Bits::Same(Evidence::Hashes);
        return Ok(diff);
    }
    let (parts_a, parts_b) = (a.parts()?, b.parts()?);
    diff.values = Some(Presence::of(parts_a.is_some(), parts_b.is_some()));
    let by_values = match (parts_a, parts_b) {
        (Some(a), Some(b)) => {
            let report = read_and_compare(a, b, tolerance, progress)?;
            let same = report.bits_equal;
            let spots = Spots::default();
            diff.numbers = Some(Numbers { report, spots });
            Some(same)
        }
        (Some((form, parts)), None) => rehashed(form, parts, b)?,
        (None, Some((form, parts))) => rehashed(form, parts, a)?,
        (None, None) => None,
    };
    diff.bits = match (by_hash, by_values) {
        _ if !dtype_same => Bits::Different(Evidence::Form),
        // Files that were altered after their hashes were taken: what is there now counts.
        (Some(true), Some(false)) => Bits::Different(Evidence::Values),
        (Some(same), _) => Bits::found(same, Evidence::Hashes),
        (None, Some(same)) if diff.numbers.is_some() => Bits::found(same, Evidence::Values),
        (None, Some(same)) => Bits::found(same, Evidence::Hashes),
        (None, None) => Bits::Unknown(Unknown::Grids),
    };
    Ok(diff)
}

/// Whether the hashes are the same, where both sides have hashes of chunks cut alike.
fn same_hashes(a: &Field<'_>, b: &Field<'_>) -> Option<bool> {
    let (a, b) = (&a.recorded.as_ref()?.chunks, &b.recorded.as_ref()?.chunks);
    let cut_alike = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0);
    cut_alike.then(|| a == b)
}

/// Whether values have the hashes that the other side recorded, where they are of the recorded form.
fn rehashed(
    form: Form,
    parts: Vec<Part<'_>>,
    other: &Field<'_>,
) -> Result<Option<bool>, ElementsError> {
    let Some(Recorded {
        form: recorded,
        chunks,
    }) = &other.recorded
    else {
        return Ok(None);
    };
    if *recorded != form {
        return Ok(None);
    }
    let mut elements = Elements::new(parts);
    let mut same = true;
    for (shape, hash) in chunks {
        let mut hasher = TensorHasher::new(form.dtype, shape);
        let mut left: usize = shape.iter().product();
        while let Some(piece) = elements.next(left.min(PIECE / form.dtype.size()))? {
            hasher.update(piece.bytes());
            left -= piece.len();
        }
        // All is read, even where this is decided: only then is it known that what was read is what was recorded.
        same = same && hasher.finish() == *hash;
    }
    Ok(Some(same))
}

/// Compares all elements of two tensors of one shape, wherever their parts are cut.
fn read_and_compare(
    (form_a, parts_a): (Form, Vec<Part<'_>>),
    (form_b, parts_b): (Form, Vec<Part<'_>>),
    tolerance: Tolerance,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ClosenessReport, ElementsError> {
    let size = form_a.dtype.size().max(form_b.dtype.size());
    let total: usize = parts_a.iter().map(Part::len).sum();
    let mut closeness = Closeness::between(tolerance, form_a.dtype, form_b.dtype, &form_a.shape);
    let (mut a, mut b) = (Elements::new(parts_a), Elements::new(parts_b));
    let mut done = 0;
    loop {
        let count = a.available()?.min(b.available()?).min(PIECE / size);
        let (Some(piece_a), Some(piece_b)) = (a.next(count)?, b.next(count)?) else {
            return Ok(closeness.finish()?);
        };
        closeness.update(&piece_a, &piece_b)?;
        done += count;
        progress((done * size) as u64, (total * size) as u64);
    }
}
