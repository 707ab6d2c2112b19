"""Parameters of the attribution of receipts to people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PurchasePolicy:
    """Limits and prior beliefs; what a shop's tills are really like is estimated from its data.

    most_offset_s: largest difference between the clocks of a till and of the cameras.
    usual_offset_s: scale of the prior of that difference, a Student distribution around 0.
    usual_spread_s: prior of the remaining difference between a receipt and the end of a service.
    usual_drift: prior deviation of a clock's drift, in seconds per second.
    seen_share: prior share of receipts whose customer was seen at the till.
    least_service_s: no customer is served in less; shorter stays are unlikely to be a payment.
    party_end_s: people who were served together leave the till within this time of each other.
    least_confidence: below this a receipt is attributed to no person.
    """

    most_offset_s: float = 900.0
    usual_offset_s: float = 30.0
    usual_spread_s: float = 5.0
    usual_drift: float = 1e-4
    seen_share: float = 0.9
    least_service_s: float = 6.0
    party_end_s: float = 4.0
    least_confidence: float = 0.7
