use super::*;

const AGENTS: usize = 10_000;

fn id(n: usize) -> AgentId {
    AgentId::try_new(&format!("web-{n}.example.com")).unwrap()
}

/// Collectors with these numbers, each with a name and one address.
fn listed(numbers: &[u8]) -> Vec<Resolved> {
    let one = |n: &u8| {
        let endpoint = Endpoint::parse(&format!("collector-{n}.example.com:45678")).unwrap();
        Resolved::new(endpoint, vec![SocketAddr::from(([192, 0, 2, *n], 45678))])
    };
    numbers.iter().map(one).collect()
}

/// A DNS name with an address for each of these collectors.
fn named(numbers: &[u8]) -> Vec<Resolved> {
    let addresses = numbers.iter().map(|n| SocketAddr::from(([192, 0, 2, *n], 45678))).collect();
    vec![Resolved::new(Endpoint::parse("collectors.example.com:45678").unwrap(), addresses)]
}

/// Returns the numbers of the collectors in the order of an agent.
fn order_of(id: &AgentId, resolved: Vec<Resolved>) -> Vec<u8> {
    let last_octet = |candidate: &Candidate| match candidate.address {
        SocketAddr::V4(address) => address.ip().octets()[3],
        SocketAddr::V6(_) => panic!("{candidate} is not an IPv4 address"),
    };
    order(id, resolved).iter().map(last_octet).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn fleet_is_spread_evenly() {
    for collectors in [listed, named] {
        let mut agents = [0; 6];
        for n in 0..AGENTS {
            agents[usize::from(order_of(&id(n), collectors(&[1, 2, 3, 4, 5]))[0])] += 1;
        }
        // The standard deviation is 40 of 2,000.
        assert!(agents[1..].iter().all(|n| (1_850..2_150).contains(n)), "{agents:?}");
    }
}

#[test]
fn agents_of_a_failed_collector_spread_evenly_over_all_others() {
    for collectors in [listed, named] {
        let mut agents = [0; 6];
        for n in 0..AGENTS {
            if let [3, second, ..] = order_of(&id(n), collectors(&[1, 2, 3, 4, 5]))[..] {
                agents[usize::from(second)] += 1;
            }
        }
        let others = [agents[1], agents[2], agents[4], agents[5]];
        assert!(others.iter().all(|n| (400..600).contains(n)), "{agents:?}");
    }
}

#[test]
fn only_agents_of_a_removed_collector_move() {
    for collectors in [listed, named] {
        for n in 0..AGENTS {
            let before = order_of(&id(n), collectors(&[1, 2, 3, 4, 5]));
            let after = order_of(&id(n), collectors(&[1, 2, 4, 5]));
            let without: Vec<_> = before.into_iter().filter(|number| *number != 3).collect();
            assert_eq!(without, after);
        }
    }
}

#[test]
fn order_does_not_depend_on_the_order_of_the_setting_or_of_dns() {
    for collectors in [listed, named] {
        for n in 0..100 {
            let one = order_of(&id(n), collectors(&[1, 2, 3, 4, 5]));
            assert_eq!(one, order_of(&id(n), collectors(&[4, 2, 5, 3, 1])));
        }
    }
}

/// Another order would move every fleet at its update.
#[test]
fn order_is_the_same_in_every_version() {
    let orders: Vec<_> = (0..4).map(|n| order_of(&id(n), listed(&[1, 2, 3, 4, 5]))).collect();
    assert_eq!(orders, [[1, 5, 4, 3, 2], [5, 1, 2, 3, 4], [2, 5, 4, 1, 3], [5, 4, 3, 1, 2]]);
    let weight = weight(&AgentId::try_new("web-1").unwrap(), "collector.example.com:45678");
    assert_eq!(weight, 0xbd8d_ab17_4873_ee4a);
}

#[test]
fn families_of_one_collector_are_tried_one_after_the_other() {
    let dual = |n: u8| {
        let endpoint = Endpoint::parse(&format!("collector-{n}.example.com:45678")).unwrap();
        let (ipv6, ipv4) = (format!("[2001:db8::{n}]:45678"), format!("192.0.2.{n}:45678"));
        Resolved::new(endpoint, vec![address(&ipv6), address(&ipv4)])
    };
    for n in 0..100 {
        let order = order(&id(n), vec![dual(1), dual(2)]);
        let hosts: Vec<_> = order.iter().map(|one| one.endpoint.host()).collect();
        assert_eq!((hosts[0], hosts[2]), (hosts[1], hosts[3]));
        let is_ipv6: Vec<_> = order.iter().map(|one| one.address.is_ipv6()).collect();
        assert_eq!(is_ipv6, [true, false, true, false], "the order of the resolver");
    }
}

#[test]
fn other_family_of_a_name_of_several_collectors_is_tried_last() {
    let addresses =
        ["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1"].map(address).to_vec();
    let several = || Resolved::new(Endpoint::parse("several:1").unwrap(), addresses.clone());
    for n in 0..100 {
        let order = order(&id(n), vec![several()]);
        let is_ipv6: Vec<_> = order.iter().map(|one| one.address.is_ipv6()).collect();
        assert_eq!(is_ipv6, [false, false, true, true]);
    }
}

#[test]
fn names_with_the_same_address_are_both_tried() {
    let one = |name| Resolved::new(Endpoint::parse(name).unwrap(), vec![address("192.0.2.1:1")]);
    let order = order(&id(1), vec![one("a.example:1"), one("b.example:1")]);
    let mut hosts: Vec<_> = order.iter().map(|one| one.endpoint.host()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["a.example", "b.example"], "a proxy may route by server name");
}

#[test]
fn target_of_a_drain_is_tried_first() {
    let target = Endpoint::parse("collector-3.example.com:45678").unwrap();
    let down = Collector::parse("down.example.com:45678").unwrap();
    for n in 0..100 {
        let all = listed(&[1, 2, 3, 4, 5]).into_iter();
        let all = all.map(|one| (Collector::Endpoint(one.endpoint.clone()), Ok(one)));
        let all = all.chain([(down.clone(), Err(ConnectError::NoAddress))]).collect();
        let Candidates { all, unresolved } = Candidates::new(&id(n), Some(&target), all);
        assert_eq!(all[0].endpoint, target);
        let mut others = order_of(&id(n), listed(&[1, 2, 4, 5])).into_iter();
        let is_next = |one: &Candidate| {
            Some(one.address.ip()) == others.next().map(|n| [192, 0, 2, n].into())
        };
        assert!(all[1..].iter().all(is_next));
        assert_eq!(unresolved.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&down]);
    }
}

#[test]
fn lower_priority_of_srv_records_is_tried_first() {
    let of = |priority, numbers: &[u8]| {
        let domain: Option<Box<str>> = Some("example.com".into());
        listed(numbers).into_iter().map(move |one| Resolved {
            priority,
            domain: domain.clone(),
            ..one
        })
    };
    let mut first = [0; 6];
    for n in 0..1_000 {
        let all = of(20, &[1, 2]).chain(of(10, &[3, 4, 5])).collect();
        let order = order_of(&id(n), all);
        assert!(order[..3].iter().all(|number| *number >= 3), "{order:?}");
        first[usize::from(order[0])] += 1;
    }
    assert!(first[3..].iter().all(|n| (250..420).contains(n)), "{first:?}");
}

/// A forged record must not choose the name in the certificate.
#[test]
fn certificate_must_have_the_domain_of_the_setting() {
    let target = listed(&[1]).pop().unwrap();
    let resolved = Resolved { domain: Some("example.com".into()), ..target };
    assert_eq!(order(&id(1), vec![resolved])[0].host(), "example.com");
    assert_eq!(order(&id(1), listed(&[1]))[0].host(), "collector-1.example.com");
}
