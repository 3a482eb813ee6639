//! Engines that are down, slow, cut off or something else than an engine.

use std::time::Duration;

use fleetgauge_receiver::Answer;
use http_body_util::BodyExt;

use crate::client::{Client, MOMENT, SOON, UP, post, receiver, send, snappy, text, up, write};

#[tokio::test]
async fn refusing_engine_stores_nothing_until_it_is_cleared() {
    let receiver = receiver();
    receiver.faults().refuse();
    assert_eq!(write(&receiver, &up(&[(1, 1.0)])).await, 503);
    assert_eq!(receiver.ledger().samples_total(), 0);
    receiver.faults().clear();
    assert_eq!(write(&receiver, &up(&[(1, 1.0)])).await, 204);
    let ledger = receiver.ledger();
    assert_eq!((ledger.requests_total(), ledger.stored_requests_total()), (2, 1));
    assert_eq!((ledger.answers(503), ledger.answers(204)), (1, 1));
}

#[tokio::test]
async fn status_carries_retry_after() {
    let receiver = receiver();
    let retry_after = Some("7".to_owned());
    receiver.faults().answer(Answer::Status { status: 429, retry_after });
    let answer = send(&receiver, post("snappy", snappy(&up(&[(1, 1.0)])))).await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
}

#[tokio::test]
async fn answer_for_the_next_requests_ends_by_itself() {
    let receiver = receiver();
    receiver.faults().answer_next(2, Answer::refuse());
    let mut statuses = Vec::new();
    for time in 1..=4 {
        statuses.push(write(&receiver, &up(&[(time, 1.0)])).await.as_u16());
    }
    assert_eq!(statuses, [503, 503, 204, 204]);
}

#[tokio::test]
async fn delayed_engine_answers_late() {
    let receiver = receiver();
    receiver.faults().delay(Duration::from_secs(3600));
    let request = up(&[(1, 1.0)]);
    let late = tokio::time::timeout(MOMENT, write(&receiver, &request)).await;
    assert!(late.is_err());
    assert_eq!(receiver.ledger().samples_total(), 0);
    receiver.faults().delay(Duration::from_millis(5));
    assert_eq!(write(&receiver, &request).await, 204);
}

#[tokio::test]
async fn hanging_engine_reads_but_never_answers() {
    let receiver = receiver();
    receiver.faults().answer(Answer::Hang);
    let mut client = Client::connect(receiver.address()).await.unwrap();
    let request = client.send(post("snappy", snappy(&up(&[(1, 1.0)]))));
    let read = receiver.wait_until(SOON, |ledger| ledger.requests_total() == 1);
    tokio::pin!(request);
    tokio::select! {
        answer = &mut request => panic!("{answer:?}"),
        read = read => read.unwrap(),
    }
    assert!(tokio::time::timeout(MOMENT, request).await.is_err());
    assert_eq!(receiver.ledger().samples_total(), 0);
}

#[tokio::test]
async fn cut_closes_the_connection_before_the_answer() {
    for stored in [false, true] {
        let receiver = receiver();
        receiver.faults().answer_next(1, Answer::Cut { stored });
        let request = || post("snappy", snappy(&up(&[(1, 1.0)])));
        assert!(send(&receiver, request()).await.is_err());
        assert_eq!(receiver.ledger().samples_total(), u64::from(stored));
        assert_eq!(send(&receiver, request()).await.unwrap().status(), 204);
        let ledger = receiver.ledger();
        assert_eq!((ledger.samples_total(), ledger.requests_total()), (1, 2));
        assert_eq!(ledger.repeated_total(), u64::from(stored));
    }
}

#[tokio::test]
async fn redirect_names_the_other_url() {
    let receiver = receiver();
    receiver.faults().answer(Answer::Redirect("http://other.example/".to_owned()));
    let answer = send(&receiver, post("snappy", snappy(&up(&[(1, 1.0)])))).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "http://other.example/");
    assert_eq!(receiver.ledger().samples_total(), 0);
}

#[tokio::test]
async fn html_page_is_a_success_that_stores_nothing() {
    let receiver = receiver();
    receiver.faults().answer(Answer::Html);
    let answer = send(&receiver, post("snappy", snappy(&up(&[(1, 1.0)])))).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(text(answer).await.starts_with("<!DOCTYPE html>"));
    assert_eq!(receiver.ledger().samples_total(), 0);
}

#[tokio::test]
async fn endless_body_goes_on_until_the_client_closes() {
    for (status, stored) in [(200, 1), (400, 0)] {
        let receiver = receiver();
        receiver.faults().answer(Answer::EndlessBody { status });
        let mut client = Client::connect(receiver.address()).await.unwrap();
        let answer = client.send(post("snappy", snappy(&up(&[(1, 1.0)])))).await.unwrap();
        assert_eq!(answer.status(), status);
        let mut body = answer.into_body();
        let mut bytes = 0;
        while bytes < 100_000 {
            let frame = tokio::time::timeout(SOON, body.frame()).await.unwrap();
            bytes += frame.unwrap().unwrap().data_ref().unwrap().len();
        }
        assert_eq!(receiver.ledger().samples_total(), stored);
    }
}

#[tokio::test]
async fn paused_receiver_refuses_connections_and_resumes_on_the_same_port() {
    let mut receiver = receiver();
    let address = receiver.address();
    let mut kept = Client::connect(address).await.unwrap();
    let request = |time| post("snappy", snappy(&up(&[(time, 1.0)])));
    assert_eq!(kept.send(request(1)).await.unwrap().status(), 204);
    for time in [2, 3] {
        receiver.pause().await;
        assert!(kept.send(request(time)).await.is_err());
        assert!(Client::connect(address).await.is_err());
        receiver.resume().unwrap();
        kept = Client::connect(address).await.unwrap();
        assert_eq!(kept.send(request(time)).await.unwrap().status(), 204);
    }
    assert_eq!(receiver.ledger().find(&UP).unwrap().samples().len(), 3);
}

#[tokio::test]
async fn paused_receiver_keeps_its_port() {
    let mut receiver = receiver();
    receiver.pause().await;
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_ne!(stranger.local_addr().unwrap(), receiver.address());
    receiver.pause().await;
    receiver.resume().unwrap();
    receiver.resume().unwrap();
    assert_eq!(write(&receiver, &up(&[(1, 1.0)])).await, 204);
}

#[tokio::test]
async fn pause_cuts_requests_that_hang() {
    let mut receiver = receiver();
    receiver.faults().answer(Answer::Hang);
    let mut client = Client::connect(receiver.address()).await.unwrap();
    let request = post("snappy", snappy(&up(&[(1, 1.0)])));
    let waiting = tokio::spawn(async move { client.send(request).await.map(drop) });
    receiver.wait_until(SOON, |ledger| ledger.requests_total() == 1).await.unwrap();
    receiver.pause().await;
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn dropped_receiver_closes_its_connections() {
    let receiver = receiver();
    let address = receiver.address();
    let mut client = Client::connect(address).await.unwrap();
    let request = |time| post("snappy", snappy(&up(&[(time, 1.0)])));
    assert_eq!(client.send(request(1)).await.unwrap().status(), 204);
    drop(receiver);
    let closed = async { while client.send(request(2)).await.is_ok() {} };
    tokio::time::timeout(SOON, closed).await.unwrap();
}
