//! A batch without padding.

/// The rows of several sequences of tokens, one below the other.
pub struct PackedRows<'a> {
    /// Token ids of all sequences.
    pub ids: &'a [u32],
    /// How many of them each sequence has.
    pub lengths: &'a [usize],
    /// Which tokens others may attend to; `None` means all.
    pub attend: Option<&'a [bool]>,
    /// Which rows are kept, the others being set to zero; `None` means all.
    pub keep: Option<&'a [bool]>,
}

impl PackedRows<'_> {
    /// The same sequences in parts of at most `most` tokens, or of `together` sequences that have more. But for the
    /// last part, each is a multiple of `together` sequences.
    pub(crate) fn parts(
        &self,
        most: usize,
        together: usize,
    ) -> impl Iterator<Item = PackedRows<'_>> {
        let together = together.max(1);
        let (mut sequence, mut token) = (0, 0);
        std::iter::from_fn(move || {
            let lengths = &self.lengths[sequence..];
            let mut groups = lengths.chunks(together);
            let first = groups.next()?;
            let (mut count, mut tokens) = (first.len(), first.iter().sum::<usize>());
            for group in groups {
                let of_group = group.iter().sum::<usize>();
                if tokens + of_group > most {
                    break;
                }
                (count, tokens) = (count + group.len(), tokens + of_group);
            }
            let span = token..token + tokens;
            (sequence, token) = (sequence + count, span.end);
            Some(PackedRows {
                ids: &self.ids[span.clone()],
                lengths: &lengths[..count],
                attend: self.attend.map(|attend| &attend[span.clone()]),
                keep: self.keep.map(|keep| &keep[span]),
            })
        })
    }
}
