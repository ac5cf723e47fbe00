//! The values a PyTorch file can hold.

/// A value of a PyTorch file, with tensors of type `T`.
///
/// `T` is [`TensorSource`](crate::TensorSource) when a file is opened and
/// [`Tensor`](crate::Tensor) when it is read or written.
#[derive(Clone, Debug, PartialEq)]
pub enum PtValue<T> {
    /// A tensor, or a `torch.nn.Parameter`, which is one.
    Tensor(T),
    Tuple(Vec<PtValue<T>>),
    List(Vec<PtValue<T>>),
    /// A Python dict in its order, in which no key comes twice. Only strings and integers are written as keys.
    Dict(Vec<(PtValue<T>, PtValue<T>)>),
    Int(i64),
    Float(f64),
    Str(String),
    Bool(bool),
    None,
    /// What is neither a tensor to compute with nor plain data: what it is, as messages say it.
    Other(String),
}

impl<T> PtValue<T> {
    /// What it is, in Python's words: `"a tensor"`, `"a dict"` and so on.
    pub fn kind(&self) -> &'static str {
        match self {
            PtValue::Tensor(_) => "a tensor",
            PtValue::Tuple(_) => "a tuple",
            PtValue::List(_) => "a list",
            PtValue::Dict(_) => "a dict",
            PtValue::Int(_) => "an integer",
            PtValue::Float(_) => "a float",
            PtValue::Str(_) => "a string",
            PtValue::Bool(_) => "a bool",
            PtValue::None => "None",
            PtValue::Other(_) => "something else",
        }
    }

    /// What it is, like [`kind`](PtValue::kind), and of what is something else, what that is.
    pub fn description(&self) -> &str {
        match self {
            PtValue::Other(what) => what,
            value => value.kind(),
        }
    }

    /// The value of a string key, if this is a dict that has it.
    pub fn get(&self, key: &str) -> Option<&PtValue<T>> {
        let PtValue::Dict(items) = self else {
            return None;
        };
        items.iter().find_map(|(name, value)| match name {
            PtValue::Str(name) if name == key => Some(value),
            _ => None,
        })
    }

    /// The same value with every tensor replaced by what `convert` makes of it.
    ///
    /// # Errors
    /// The first error of `convert`.
    pub fn try_map<U, E>(
        self,
        convert: &mut impl FnMut(T) -> Result<U, E>,
    ) -> Result<PtValue<U>, E> {
        fn all<T, U, E>(
            items: Vec<PtValue<T>>,
            convert: &mut impl FnMut(T) -> Result<U, E>,
        ) -> Result<Vec<PtValue<U>>, E> {
            items
                .into_iter()
                .map(|item| item.try_map(convert))
                .collect()
        }
        Ok(match self {
            PtValue::Tensor(tensor) => PtValue::Tensor(convert(tensor)?),
            PtValue::Tuple(items) => PtValue::Tuple(all(items, convert)?),
            PtValue::List(items) => PtValue::List(all(items, convert)?),
            PtValue::Dict(items) => PtValue::Dict(
                items
                    .into_iter()
                    .map(|(key, value)| Ok((key.try_map(convert)?, value.try_map(convert)?)))
                    .collect::<Result<_, E>>()?,
            ),
            PtValue::Int(value) => PtValue::Int(value),
            PtValue::Float(value) => PtValue::Float(value),
            PtValue::Str(value) => PtValue::Str(value),
            PtValue::Bool(value) => PtValue::Bool(value),
            PtValue::None => PtValue::None,
            PtValue::Other(what) => PtValue::Other(what),
        })
    }

    /// Every tensor with its path: the keys and positions that lead to it, joined by dots.
    ///
    /// A tensor at the top has the empty path, the second of a tuple `"1"`, one of a state dict
    /// its key.
    pub fn tensors(self) -> Vec<(String, T)> {
        let mut found = Vec::new();
        self.collect(String::new(), &mut found);
        found
    }

    fn collect(self, path: String, found: &mut Vec<(String, T)>) {
        let join = |step: String| match path.as_str() {
            "" => step,
            path => format!("{path}.{step}"),
        };
        match self {
            PtValue::Tensor(tensor) => found.push((path, tensor)),
            PtValue::Tuple(items) | PtValue::List(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    item.collect(join(index.to_string()), found);
                }
            }
            PtValue::Dict(items) => {
                for (key, value) in items {
                    let step = match key {
                        PtValue::Str(key) => key,
                        PtValue::Int(key) => key.to_string(),
                        other => other.kind().to_owned(),
                    };
                    value.collect(join(step), found);
                }
            }
            PtValue::Int(_)
            | PtValue::Float(_)
            | PtValue::Str(_)
            | PtValue::Bool(_)
            | PtValue::None
            | PtValue::Other(_) => {}
        }
    }
}
