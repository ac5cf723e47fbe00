//! What of a set of judgements there is to measure.

use concord_corpus::{DocumentIds, Qrels, Queries};
use serde::Serialize;

/// How judgements and what was searched fit together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Queries with judgements.
    pub judged: usize,
    /// Those of them that are not among the queries searched. With a relevant document they count as zero.
    pub not_searched: usize,
    /// Queries searched.
    pub searched: usize,
    /// Those of them without judgements, which no measure sees.
    pub not_judged: usize,
    /// Queries searched and judged, none of whose documents is relevant. No mean has them.
    pub without_relevant: usize,
    /// Judgements of the queries that are searched.
    pub judgements: usize,
    /// Those of them whose document the collection does not have.
    pub unknown_documents: usize,
}

/// Why measures would say nothing: what is judged is not what is searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmeasurable {
    #[error(
        "none of the {judged} judged queries is among the {searched} that are searched: the judgements have ids such as \
         {judged_id:?}, the queries such as {searched_id:?}"
    )]
    OtherQueries {
        judged: usize,
        judged_id: String,
        searched: usize,
        searched_id: String,
    },
    #[error(
        "none of the {judgements} documents that are judged for these queries is in the index: the judgements have ids \
         such as {judged_id:?}, the index such as {indexed_id:?}; ids of a collection are known where it is given by \
         --collection"
    )]
    OtherDocuments {
        judgements: usize,
        judged_id: String,
        indexed_id: String,
    },
    #[error(
        "no document is judged relevant for any of these queries, so there is nothing to measure"
    )]
    NothingRelevant,
    /// There is a header and no line after it.
    #[error("there are no judgements")]
    NoJudgements,
}

impl Coverage {
    /// Compares judgements with what is searched: `queries`, in `passages` passages that are known as `documents`.
    ///
    /// # Errors
    /// When there is nothing that could be measured.
    pub fn of(
        queries: &Queries,
        qrels: &Qrels,
        documents: &(impl DocumentIds + ?Sized),
        passages: usize,
    ) -> Result<Coverage, Unmeasurable> {
        let mut coverage = Coverage {
            judged: qrels.len(),
            searched: queries.len(),
            ..Coverage::default()
        };
        let is_known = |document: &str| {
            let pid = documents.pid_of(document);
            pid.is_some_and(|pid| (pid as usize) < passages)
        };
        let mut relevant = 0;
        let mut judged_document = None;
        for (qid, judgements) in qrels.iter() {
            if queries.text(qid).is_none() {
                coverage.not_searched += 1;
                continue;
            }
            coverage.judgements += judgements.len();
            let mut any_relevant = false;
            for judgement in judgements {
                any_relevant |= judgement.grade > 0;
                judged_document.get_or_insert(judgement.document);
                coverage.unknown_documents += usize::from(!is_known(judgement.document));
            }
            relevant += usize::from(any_relevant);
            coverage.without_relevant += usize::from(!any_relevant);
        }
        coverage.not_judged = coverage.searched - (coverage.judged - coverage.not_searched);
        let Some((judged_id, _)) = qrels.iter().next() else {
            return Err(Unmeasurable::NoJudgements);
        };
        let Some(judged_document) = judged_document else {
            let searched_id = queries.iter().next().map(|query| query.qid);
            return Err(Unmeasurable::OtherQueries {
                judged: coverage.judged,
                judged_id: judged_id.to_owned(),
                searched: coverage.searched,
                searched_id: searched_id.unwrap_or_default().to_owned(),
            });
        };
        if coverage.unknown_documents == coverage.judgements {
            return Err(Unmeasurable::OtherDocuments {
                judgements: coverage.judgements,
                judged_id: judged_document.to_owned(),
                indexed_id: documents.external_id(0).into_owned(),
            });
        }
        match relevant {
            0 => Err(Unmeasurable::NothingRelevant),
            _ => Ok(coverage),
        }
    }

    /// What a reader of the measures has to know; nothing where judgements and queries are one to one.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.not_searched > 0 || self.not_judged > 0 {
            notices.push(format!(
                "{} queries are judged; {} of them were not searched and count as zero where a document is relevant; \
                 {} of the {} queries searched are not judged and do not count",
                self.judged, self.not_searched, self.not_judged, self.searched
            ));
        }
        if self.without_relevant > 0 {
            notices.push(format!(
                "{} of the queries searched have no relevant document and are in no mean",
                self.without_relevant
            ));
        }
        if self.unknown_documents > 0 {
            notices.push(format!(
                "{} of the {} documents judged for these queries are not in the index; those that are relevant count \
                 as not found",
                self.unknown_documents, self.judgements
            ));
        }
        notices
    }
}
