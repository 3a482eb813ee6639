//! Linear trend of a value.

/// Rise of the least-squares line between the first and the last point. 0 for fewer than two
/// points.
#[must_use]
pub fn linear_rise(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (at, value) = (mean(|point| point.0), mean(|point| point.1));
    let variance: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
    if variance == 0.0 || points.is_empty() {
        return 0.0;
    }
    let covariance: f64 = points.iter().map(|point| (point.0 - at) * (point.1 - value)).sum();
    covariance / variance * (points[points.len() - 1].0 - points[0].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_rise_fits_a_line() {
        let line: Vec<_> = (0..10).map(|at| (f64::from(at), 3.0 * f64::from(at) + 7.0)).collect();
        assert!((linear_rise(&line) - 27.0).abs() < 1e-9);
        let saw: Vec<_> = (0..1_001).map(|at| (f64::from(at), f64::from(at % 2))).collect();
        assert!(linear_rise(&saw).abs() < 0.01);
        assert_eq!(linear_rise(&[]), 0.0);
        assert_eq!(linear_rise(&[(1.0, 5.0)]), 0.0);
    }
}
