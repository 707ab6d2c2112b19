"""Sentences of other layers that pages show translated, with slots for what they name.

They are written here as the other layers write them; tests/web/test_languages.py compares.
"""

from collections.abc import Mapping

from trinetra.web.locales import message

PHRASES: Mapping[str, tuple[str, ...]] = {
    "people": (message("1 person"), message("%(number)s people")),
    "minutes": (message("1 minute"), message("%(number)s minutes")),
    "where": (
        message("in zone %(zone)s of camera %(camera)s"),
        message("in the shop"),
    ),
    "weekday": (
        message("Monday"),
        message("Tuesday"),
        message("Wednesday"),
        message("Thursday"),
        message("Friday"),
        message("Saturday"),
        message("Sunday"),
    ),
    "changed": (message("a network"), message("the line"), message("the floor of the camera")),
    "vehicles": (
        message("Cars"),
        message("Motorcycles"),
        message("Buses"),
        message("Trucks"),
        message("Bicycles"),
    ),
    "direction": (message("in"), message("out")),
    "label": (
        message("person"),
        message("car"),
        message("truck"),
        message("bus"),
        message("motorcycle"),
        message("bicycle"),
    ),
    "ended": (message("silent"), message("gap"), message("session")),
}
"""What may fill a slot of this name, and is translated itself."""

ALERT_TITLES: Mapping[str, str] = {
    "watchlist": message("Person on the watchlist"),
    "vip": message("VIP is here"),
    "plate_watchlist": message("Vehicle on the watchlist"),
    "impossible_transition": message("One face at two places"),
    "queue_length": message("Long queue"),
    "queue_wait": message("Long wait"),
    "occupancy": message("Too many people"),
    "loitering": message("Long stay"),
    "after_hours": message("Person in the closed shop"),
    "tailgating": message("Two people through one opening"),
    "wrong_direction": message("Wrong direction"),
    "camera_offline": message("Camera offline"),
    "camera_frozen": message("Camera frozen"),
    "camera_covered": message("Camera covered"),
    "camera_moved": message("Camera moved"),
    "frames_dropped": message("Pictures are lost"),
    "latency": message("Results are late"),
    "drift": message("Pictures of faces have changed"),
    "index_unavailable": message("Face index unavailable"),
    "figure_incomplete": message("Figures are incomplete"),
}
"""By the name of the rule."""

_ALERTS = (
    *ALERT_TITLES.values(),
    message("A person on the watchlist was seen at camera %(camera)s."),
    message("A VIP was seen at camera %(camera)s."),
    message("A vehicle whose plate is on the watchlist was seen at camera %(camera)s."),
    message(
        "The same face was seen at camera %(camera)s and, %(elapsed)s s before, at camera "
        "%(from_camera)s, %(distance)s m away."
    ),
    message("%(people)s wait %(where)s; the limit is %(limit)s."),
    message("A customer has been waiting %(minutes)s %(where)s."),
    message("%(people)s are %(where)s; the limit is %(limit)s."),
    message("A person has been %(where)s for %(minutes)s."),
    message("%(people)s in view at camera %(camera)s while the shop is closed."),
    message("A second person followed through line %(line)s at camera %(camera)s."),
    message(
        "A person crossed line %(line)s at camera %(camera)s in the direction '%(direction)s', "
        "which is not allowed."
    ),
    message("Camera %(camera)s cannot be reached. Nothing is counted there."),
    message("Camera %(camera)s is connected but sends no pictures. Nothing is counted there."),
    message("Camera %(camera)s was given up. Nothing is counted there."),
    message("Camera %(camera)s does not answer yet. Nothing is counted there."),
    message("Camera %(camera)s sends no pictures. Nothing is counted there."),
    message("Camera %(camera)s sends the same picture again and again."),
    message("Camera %(camera)s sees almost nothing: it is covered, or it is dark."),
    message("Camera %(camera)s shows another view than before."),
    message("%(share)s of the pictures of camera %(camera)s were dropped."),
    message("1 in 100 results comes later than %(late)s s; the limit is %(limit)s s."),
    message("Faces at camera %(camera)s differ from those that the system was calibrated with."),
    message("The face index does not answer: customers are reported as unknown until it is back."),
    message("Camera %(camera)s was not watched for %(minutes)s of the opening hours."),
    message(
        "Look at the picture first: a match can be wrong. Then inform the manager on duty; "
        "do not approach the person alone."
    ),
    message("Let the person in charge welcome them."),
    message(
        "Compare the plate with the picture: one character may have been misread. "
        "Then inform the manager on duty."
    ),
    message(
        "Compare both pictures. If they show two people, split the identity under Customers; if "
        "it is one person, check the distance of the two cameras in the site file."
    ),
    message("Open another till, or send a colleague to the queue."),
    message("Open another till; if it repeats at this hour, plan one more person for it."),
    message("Let no more people in until the number has fallen below the limit."),
    message("Look at the live picture; offer help or inform the manager on duty."),
    message(
        "Look at the live picture. If it is not staff, call security. Disarm the alerts for "
        "planned work after hours."
    ),
    message("Check who went in; remind staff to let the door close behind them."),
    message(
        "Send a colleague to this door. If the direction is fine, remove the line from the rule."
    ),
    message(
        "Check its power and network cable, then its address and password: "
        "`trinetra check --cameras` tells what it answers."
    ),
    message("Restart the camera; update its firmware if it happens again."),
    message("Remove what covers the lens, clean it, or switch on the light."),
    message(
        "Turn it back. If it should stay like this, draw its lines and zones again in Setup: "
        "figures of the old ones are wrong."
    ),
    message(
        "The machine is too slow for its cameras: lower their fps, or add an inference worker."
    ),
    message(
        "Look at Health for the stage with the highest load; lower the fps of the cameras, or add "
        "a process of that stage."
    ),
    message(
        "Clean the lens and check focus and light; if that is how it stays, run "
        "`trinetra models calibrate`."
    ),
    message(
        "Look at Health for the gallery. In one process restart `trinetra run`; on a cluster check "
        "Qdrant."
    ),
    message(
        "Figures of that time are marked as incomplete. Look at Health for what the camera or "
        "its service was waiting for."
    ),
)

_METRICS = (
    message("Footfall in"),
    message("Footfall out"),
    message("Groups in"),
    message("Groups out"),
    message("People per group"),
    message("Children among those who come in"),
    message("Recognized among those who come in"),
    message("Pass-by traffic"),
    message("Turn-in rate"),
    message("Traffic in"),
    message("Traffic out"),
    message("Occupancy (mean)"),
    message("Occupancy (peak)"),
    message("Time in the shop (mean)"),
    message("Stays"),
    message("Dwell time (median)"),
    message("Dwell time (90 %)"),
    message("Dwell time (mean)"),
    message("Share of the dwell time in journeys"),
    message("Time of people in view"),
    message("Recognized visits"),
    message("Returning customers"),
    message("Visit duration (median)"),
    message("Queue wait (median)"),
    message("Queue wait (90 %)"),
    message("Queue wait (mean)"),
    message("Queue length"),
    message("Abandonment"),
    message("Changes of the queue"),
    message("Parties served"),
    message("Service time (median)"),
    message("Service time (mean)"),
    message("Tills serving"),
    message("Transactions"),
    message("Refunds"),
    message("Voids"),
    message("Net sales"),
    message("Average transaction value"),
    message("Items per basket"),
    message("Conversion"),
    message("Conversion of groups"),
    message("Sales per visitor"),
    message("Sales attributed to a person"),
    message("Sales without a person"),
    message("Stays at tills without a receipt"),
    message("Time to purchase (median)"),
    message("Purchases after a stay in a zone"),
    message("Vehicle arrivals"),
    message("Vehicle arrivals: cars"),
    message("Vehicle arrivals: motorcycles"),
    message("Vehicle arrivals: buses"),
    message("Vehicle arrivals: trucks"),
    message("Vehicle arrivals: bicycles"),
    message("Vehicle stay (median)"),
    message("Vehicles whose plate was read"),
    message("Camera time watched"),
)

_DEFINITIONS = (
    message(
        "Each time a person goes in through a door of the shop, once however many cameras and "
        "lines see it."
    ),
    message("A person who comes twice counts twice."),
    message(
        "Staff, vehicles, people who turn round at the line, and lines of kind passby and inner."
    ),
    message(
        "Each time a person goes out through a door of the shop, once however many cameras and "
        "lines see it."
    ),
    message("Groups of people who go in together: within seconds of each other, side by side."),
    message("A person alone is a group of one."),
    message("Groups of people who go out together: within seconds of each other, side by side."),
    message("The mean number of people of the groups that come in."),
    message("Of the people who come in and whose height is known, the share shorter than 1.45 m."),
    message("People seen by no calibrated camera."),
    message("Of the people who come in, the share whose face was seen well enough to know them."),
    message(
        "Each time a person outside crosses a line of kind passby, in either direction, once "
        "however many cameras see it."
    ),
    message("Staff, vehicles, and people who turn round at the line."),
    message("People who come in, divided by pass-by traffic of the same time."),
    message(
        "It is unknown without a line of kind passby, and may exceed 1 where people come in who"
        " did not cross it."
    ),
    message("As footfall and pass-by traffic."),
    message(
        "Each time a person crosses a counting line inward: seen clearly on one side of the "
        "band around the line, and then clearly on the other."
    ),
    message("Staff, vehicles, and people who turn round in the band."),
    message(
        "Each time a person crosses a counting line outward: seen clearly on one side of the "
        "band around the line, and then clearly on the other."
    ),
    message("The mean number of customers inside, over the time open."),
    message("Staff."),
    message(
        "The number follows from the counts in and out, corrected by what must hold: the shop "
        "is empty at closing, and as many go out as come in."
    ),
    message("The largest number of customers inside at the same time, for at least 5 s in all."),
    message(
        "The mean time from a customer's entry to the exit, recognized or not: the time that "
        "all customers spent inside, by the number that came in (Little's law)."
    ),
    message("Stays in a zone of at least the zone's min_dwell_s, when they end."),
    message("Staff, vehicles, and people who only pass."),
    message("The time that half of the stays do not exceed."),
    message(
        "The time from a person's entry into a zone to the exit, for stays of at least the "
        "zone's min_dwell_s."
    ),
    message("It counts in the minute, hour and day in which the stay ends."),
    message("The time that nine of ten stays do not exceed."),
    message(
        "The mean of: The time from a person's entry into a zone to the exit, for stays of at "
        "least the zone's min_dwell_s."
    ),
    message(
        "The share of the time in zones that is of customers who were recognized by their face,"
        " or linked to one by their body: journeys tell of them alone."
    ),
    message(
        "The time between two looks at a person that are at most coverage_gap_s apart, for all "
        "people and cameras."
    ),
    message("It counts at the start of its quarter hour, so read it by the hour or longer."),
    message("Whoever is in the view of two cameras counts twice."),
    message(
        "People known to be staff, and the time in which only an estimate of the tracker tells "
        "where a person is."
    ),
    message("Staff who are identified later than the quarter hour stay in it."),
    message(
        "Presences of customers whose face was recognized, first to last sighting over all "
        "cameras; an absence longer than visit_gap_s begins the next."
    ),
    message("A visit counts where it starts."),
    message(
        "Staff, people on the watchlist, and everybody whose face was not seen well enough: it "
        "is a lower bound of all visits."
    ),
    message(
        "Visits that turn out to be one person's after a merge stay two here; reports of people"
        " unite them."
    ),
    message("Of the recognized visits, the share that is not a customer's first on record."),
    message("As recognized visits."),
    message("First means first within the retention of faces."),
    message("The median time from the first to the last sighting of a recognized visit."),
    message("Time before the face was first seen is not part of it."),
    message(
        "The median of the time from joining a queue to the beginning of service, for each "
        "party that was served; 0 for a party that walked to a free till."
    ),
    message("A party that changed the queue waited since it joined the first one."),
    message("It counts when the service ends."),
    message(
        "Parties that gave up, those that wait or are served right now, those that were not "
        "seen to come, staff, and people who only pass."
    ),
    message(
        "What nine of ten do not exceed of the time from joining a queue to the beginning of "
        "service, for each party that was served; 0 for a party that walked to a free till."
    ),
    message(
        "The mean of the time from joining a queue to the beginning of service, for each party "
        "that was served; 0 for a party that walked to a free till."
    ),
    message("The mean number of parties that wait at the same time, over the time open."),
    message(
        "Parties that are being served, and those that still wait: they count as soon as they "
        "leave."
    ),
    message("The length at this moment is the number of people in the queue's zone."),
    message(
        "The share of parties that waited in a queue and left it unserved, of these and of "
        "those that were served."
    ),
    message(
        "Parties that turned away before they joined a queue, waits below the zone's "
        "engaged_after_s, and changes to another queue."
    ),
    message(
        "Each time a party leaves a queue in which it waited and waits in another (jockeying)."
    ),
    message("Walks through other queues that are too short to be a wait."),
    message("Parties that were served at a till, when the service ends."),
    message("Staff, and stays at the till below the zone's engaged_after_s."),
    message(
        "The median time from a party's arrival at a till to its departure; people who are "
        "there at the same time are one party."
    ),
    message(
        "The mean time from a party's arrival at a till to its departure; people who are there "
        "at the same time are one party."
    ),
    message(
        "The mean number of tills that serve at the same time, over the time open; by place, "
        "the share of the time in which a till serves."
    ),
    message("Tills that were staffed but served no one."),
    message("Receipts of kind sale, by the clock of the till; a corrected receipt counts once."),
    message("Refunds, voids and training receipts are no sales."),
    message("Receipts of kind refund, by the clock of the till."),
    message("Sales, and training receipts."),
    message("Receipts of kind void, by the clock of the till."),
    message(
        "Totals of sales less the totals of refunds, in the currency of the receipts; unknown "
        "if receipts have several currencies, each of which has its own figure."
    ),
    message("Voids and training receipts."),
    message("The mean total of sales."),
    message("Pieces sold per sale, of the receipts that say how many."),
    message("Receipts without a number of pieces."),
    message("Sales per person who came in through a door."),
    message("Staff, and lines that no person crosses."),
    message(
        "People who shop together share one receipt, so the share of those who came to buy is "
        "higher."
    ),
    message("Sales per group that came in through a door; a person alone is a group of one."),
    message("Net sales per person who came in through a door."),
    message("Share of the sales whose receipt belongs to a person who was seen at the till."),
    message("Receipts of tills that no zone of the site file names belong to no person."),
    message("Sales whose receipt could be attributed to no person who was seen at the till."),
    message("Refunds, voids and training receipts."),
    message(
        "Stays in the zone of a till that were long enough to be served, until the till's last "
        "receipt, to which no receipt belongs."
    ),
    message("Staff, and tills that sent no receipt at all."),
    message("From the start of a recognized customer's visit to the payment."),
    message("Sales that are attributed to no recognized customer."),
    message("Purchases of people who stayed in the zone before they paid, once per purchase."),
    message(
        "People who were not recognized: of them only stays in the view of the till are known."
    ),
    message(
        "Vehicles that arrive: seen to cross a line of a vehicle camera, or in view for at "
        "least 30 s."
    ),
    message("One that is unseen in between is the same if its plate is, or its place."),
    message("Vehicles that only pass."),
    message(
        "%(vehicles)s among: Vehicles that arrive: seen to cross a line of a vehicle camera, or"
        " in view for at least 30 s."
    ),
    message("The class is that of most of the time in view."),
    message(
        "The time from a vehicle's first to its last frame that half of the vehicles do not exceed."
    ),
    message("It counts at the arrival."),
    message("Share of the vehicles that arrive of which a plate was read."),
    message(
        "The time in which a camera's frames followed each other closely enough to count by: at"
        " most coverage_gap_s apart."
    ),
    message(
        "Time in which the camera was offline or stalled, its frames were dropped, or only its "
        "key frames were decoded and they came too seldom."
    ),
)
"""Of metrics: what they count and leave out, sentence by sentence."""

_REMINDERS = (
    message("never counted by hand"),
    message("%(changed)s has changed since the last count by hand"),
    message("fewer than %(number)s people were seen in the last count by hand"),
    message("the last count by hand is more than %(days)s days old"),
)

EFFECTS = (
    message("read once, when the services start"),
    message("in force from the next events on"),
    message("waits for the restart that a camera needs"),
    message(
        "the slowest answer and the highest frame rate of all cameras set how long the resolver"
        " waits: until a restart it waits as before"
    ),
    message("it is no longer read; its figures are kept"),
    message("it is read at once"),
    message("this process does not watch the file"),
    message("this camera is connected anew, which costs it the frames of some seconds"),
    message("between two frames; no frame is lost"),
    message(
        "between two frames; no frame is lost. Stays in a changed zone end, and who is just "
        "crossing a changed line may not count"
    ),
)
"""How changes of the site file take effect."""

_NETWORKS = (
    message("the detector %(name)s that it needs is loaded at the start"),
    message("the networks that read plates are loaded at the start"),
)

_STAFF = (
    message("present while the shop is closed on %(days)s day(s), up to %(most)s min"),
    message("behind a till on %(days)s day(s), up to %(most)s min"),
    message("present for hours on %(days)s day(s), up to %(most)s h"),
    message("present for more than %(hours)s h on %(days)s days"),
)

_REPORTS = (
    message("day before"),
    message("week before"),
    message("month before"),
    message("%(days)s days before"),
    message("%(weekday)s last week"),
    message("%(weekday)s last year"),
    message("month last year"),
    message("same weekdays last year"),
    message("The period is not over yet: these are the figures so far."),
    message("Nothing is on record for this period."),
    message(
        "Cameras watched as little as %(share)s of the opening hours. A figure covers "
        "only the time that was watched: see the share beside it."
    ),
    message("The setup changed during the period: compare figures across a mark with care."),
    message("withdrawn: it turned out to be another person's"),
    message("staff"),
    message("another line, zone or direction"),
)

_STORIES = (
    message("%(track)s, a %(label)s, crossed %(line)s (%(direction)s)."),
    message("%(name)s crossed %(line)s (%(direction)s)."),
    message("%(track)s, a %(label)s, stayed %(seconds)s s in %(zone)s."),
    message("%(name)s stayed %(seconds)s s in %(zone)s."),
    message("%(name)s stayed %(seconds)s s at %(till)s without a receipt."),
    message("The camera was watched in %(number)s frames without a gap."),
    message("It ended: %(ended)s."),
    message("%(name)s came for visit number %(number)s."),
    message("Visit number %(number)s of %(name)s is withdrawn."),
    message("A %(label)s passed %(door)s (%(direction)s), in 1 crossing."),
    message("A %(label)s passed %(door)s (%(direction)s), in %(number)s crossings."),
    message("A group of %(people)s passed %(door)s (%(direction)s)."),
    message("%(name)s waited %(seconds)s s and was served for %(service)s s at %(till)s."),
    message("%(name)s came and was served for %(service)s s at %(till)s."),
    message("%(name)s waited %(seconds)s s in %(queue)s and left unserved."),
    message("%(name)s waited %(seconds)s s in %(queue)s and changed to another queue."),
    message("%(till)s issued sale receipt %(receipt)s: %(total)s."),
    message("%(till)s issued refund receipt %(receipt)s: %(total)s."),
    message("Receipt %(receipt)s of %(till)s belongs to no person seen."),
    message(
        "%(name)s paid %(total)s at %(till)s (receipt %(receipt)s, confidence %(confidence)s)."
    ),
    message("A %(label)s was here for %(seconds)s s."),
)
"""Of the events that most figures are made of."""

_REFUSALS = (
    message("%(photo)s is empty: copy the photo again"),
    message("%(photo)s cannot be read as an image; use a JPEG or PNG"),
    message("%(photo)s is not a readable image; use a JPEG or PNG"),
    message("%(photo)s is not a readable image; use a JPEG, PNG or WebP"),
    message("%(photo)s: no face was found; use a photo that shows one face"),
    message("%(photo)s: the face has no features to compare; use another photo"),
    message("%(photo)s is not upright: turn it so that the eyes are level"),
    message(
        "%(photo)s: the face is %(size)s px wide, but %(least)s px are required; "
        "use a closer or larger photo"
    ),
    message(
        "the site file was changed meanwhile, by another person or an editor; nothing was "
        "written. Look at the difference, and make your change again"
    ),
    message("the name or the password is wrong"),
    message("this user is disabled; ask an administrator"),
    message("there is a user already; log in"),
    message("this link has expired or was used; start TRINETRA again for a new one"),
    message("this login has expired or was used; log in again"),
    message("this login was begun in another browser; log in again"),
    message("the provider refused the login: %(error)s"),
    message("the two passwords differ; type the same one twice"),
    message("a password has %(least)s to %(most)s characters; choose another"),
    message(
        "the password contains the user name, or hardly any different characters; "
        "choose another, such as four random words"
    ),
    message("the name %(name)s is taken; choose another"),
    message("%(name)s may not see %(site)s; ask an administrator"),
    message(
        "nothing was changed: %(name)s is the last administrator, or was changed "
        "meanwhile; make another user an administrator first"
    ),
    message(
        "this needs the permission %(permission)s, which %(name)s (%(role)s) does not have; "
        "ask an administrator"
    ),
    message("this request comes from another web site; open the page here again"),
    message("%(part)s are not available here: this process was started without them"),
)

SENTENCES = (
    *_ALERTS,
    *_METRICS,
    *_DEFINITIONS,
    *_REMINDERS,
    *EFFECTS,
    *_NETWORKS,
    *_STAFF,
    *_REPORTS,
    *_STORIES,
    *_REFUSALS,
)
