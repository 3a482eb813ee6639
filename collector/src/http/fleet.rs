//! `/metrics/fleet`: the distribution of each gauge over the agents.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::HttpState;
use super::error::HttpError;
use super::query::{Query, quoted};
use super::response::ResponseOptions;
use crate::exposition::Sink;
use crate::fleet_stats::{self, Columns, FleetQuery, GroupLabel};

/// Handler that returns the distribution of each gauge over the agents.
pub(super) async fn page(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Result<Response, HttpError> {
    let query = Query::try_new(query.as_deref(), &["by", "family"])?;
    let query = FleetQuery {
        by: query.get("by").map(group_label).transpose()?,
        family: query.get("family").map(ToOwned::to_owned),
    };
    let format = options.format;
    let collector = Arc::clone(&http.collector);
    let find = move || {
        let columns = Columns::copy(&collector.registry, &query)
            .map_err(|error| HttpError::bad_request(error.to_string()))?;
        Ok(move |sink: &mut dyn Sink| fleet_stats::write(&columns, format, sink))
    };
    Ok(options.stream(&http, format.content_type(), find).await)
}

fn group_label(name: &str) -> Result<GroupLabel, HttpError> {
    GroupLabel::try_new(name).ok_or_else(|| {
        let name = quoted(name);
        HttpError::bad_request(format!(
            "invalid by={name}; use a static label of the agents, such as role"
        ))
    })
}
