//! Dtype and shape of a tensor, and of several one after another.

use concord_tensor::DType;

/// Dtype and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
}

/// The form of several tensors one after another.
#[derive(Default)]
pub(crate) struct Joined {
    pub(crate) form: Option<Form>,
}

impl Joined {
    /// Adds the rows of the next tensor; the error says why they cannot follow.
    pub(crate) fn add(&mut self, dtype: DType, shape: &[usize]) -> Result<(), String> {
        let joined = match &mut self.form {
            None => self.form.insert(Form {
                dtype,
                shape: shape.to_vec(),
            }),
            Some(form) => {
                let fits = form.dtype == dtype
                    && !shape.is_empty()
                    && form.shape.get(1..) == shape.get(1..);
                let (rows, more) = match (form.shape.first_mut(), shape.first()) {
                    (Some(rows), Some(more)) if fits => (rows, more),
                    _ => {
                        return Err(format!(
                            "{dtype} of shape {shape:?} after {} of shape {:?}",
                            form.dtype, form.shape
                        ));
                    }
                };
                *rows = rows
                    .checked_add(*more)
                    .ok_or_else(|| "the rows are more than can be counted".to_owned())?;
                form
            }
        };
        joined
            .shape
            .iter()
            .filter(|&&size| size > 0)
            .try_fold(joined.dtype.size(), |bytes, &size| bytes.checked_mul(size))
            .map(|_| ())
            .ok_or_else(|| format!("shape {:?} is larger than memory can address", joined.shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_chunks_add_up_and_the_rest_of_the_shape_must_agree() {
        let mut joined = Joined::default();
        joined.add(DType::F16, &[3, 8]).unwrap();
        joined.add(DType::F16, &[0, 8]).unwrap();
        joined.add(DType::F16, &[2, 8]).unwrap();
        let form = joined.form.as_ref().unwrap();
        assert_eq!(form.shape, [5, 8]);
        for (dtype, shape) in [
            (DType::F32, &[1, 8][..]),
            (DType::F16, &[1, 4]),
            (DType::F16, &[8]),
            (DType::F16, &[]),
            (DType::F16, &[usize::MAX, 8]),
        ] {
            let mut joined = Joined {
                form: joined.form.clone(),
            };
            assert!(joined.add(dtype, shape).is_err(), "{dtype} {shape:?}");
        }
    }

    #[test]
    fn a_scalar_stands_alone() {
        let mut joined = Joined::default();
        joined.add(DType::I64, &[]).unwrap();
        assert!(joined.add(DType::I64, &[]).is_err());
    }
}
