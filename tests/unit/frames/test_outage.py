from trinetra.frames.outage import Outage


def test_without_an_outage_every_frame_is_tried():
    outage = Outage(retry_s=0.5)
    assert all(outage.may_try(now) for now in (0.0, 0.1, 0.1))
    assert outage.untried_s(99.0) == 0.0


def test_during_an_outage_one_frame_in_a_while_is_tried_for_all():
    outage = Outage(retry_s=0.5)
    outage.failed("gone", 10.0)
    tried = [now / 10 for now in range(100, 121) if outage.may_try(now / 10)]
    assert tried == [10.5, 11.0, 11.5, 12.0]


def test_only_the_first_failure_and_the_first_answer_are_news():
    outage = Outage(retry_s=0.5)
    assert [outage.failed("gone", 1.0), outage.failed("still gone", 2.0)] == [True, False]
    assert outage.problem == "still gone"
    assert [outage.answered(), outage.answered()] == [True, False]
    assert outage.problem is None


def test_the_overdue_time_of_the_next_attempt_is_known():
    outage = Outage(retry_s=0.5)
    outage.failed("gone", 1.0)
    assert [outage.untried_s(now) for now in (1.0, 1.5, 2.5)] == [0.0, 0.0, 1.0]
