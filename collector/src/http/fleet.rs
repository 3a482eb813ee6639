//! `/metrics/fleet`: the fleet as a whole.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::Site;
use super::query::{Query, shown};
use super::refused::Refused;
use super::stream::Reader;
use crate::exposition::Sink;
use crate::fleet::{self, Columns, GroupLabel, Question};

/// How every gauge is spread over the agents.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Result<Response, Refused> {
    let query = Query::try_new(query.as_deref(), &["by", "family"])?;
    let question = Question {
        by: query.get("by").map(group_label).transpose()?,
        family: query.get("family").map(ToOwned::to_owned),
    };
    let format = reader.format;
    let shared = Arc::clone(&site.shared);
    let find = move || {
        let columns = Columns::copy(&shared.registry, &question)
            .map_err(|no| Refused::bad_request(no.to_string()))?;
        Ok(move |sink: &mut dyn Sink| fleet::write(&columns, format, sink))
    };
    Ok(reader.stream(&site, format.content_type(), find).await)
}

fn group_label(name: &str) -> Result<GroupLabel, Refused> {
    GroupLabel::try_new(name).ok_or_else(|| {
        let name = shown(name);
        Refused::bad_request(format!(
            "by={name} is no label that agents can have: use one of those that they give themselves, such as role"
        ))
    })
}
