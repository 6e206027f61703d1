"""The words that the generated sentences are made of: topics to measure with, and others to calibrate with.

In each list ``;`` stands between meanings and ``|`` between ways to say the same. A verb is given as
``base/past/participle``. No topic is in both sets.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Topic:
    """What is said of one subject matter."""

    name: str
    agents: str
    verbs: str
    objects: str
    settings: str
    reasons: str


MEASURED: Final = (
    Topic(
        "kitchen",
        agents="the cook|the chef; a baker|the pastry maker; my grandmother|our grandma; two waiters|a pair of waiters",
        verbs="prepare/prepared/prepared|make/made/made; taste/tasted/tasted|try/tried/tried; "
        "serve/served/served|dish up/dished up/dished up; burn/burned/burned|scorch/scorched/scorched",
        objects="the tomato soup|the broth of tomatoes; a chocolate cake|a cake with cocoa; fresh bread|new "
        "loaves; the roast chicken|the grilled hen; a bowl of rice|some boiled rice",
        settings="in the kitchen|beside the stove; at the small restaurant|in the little bistro; before "
        "dinner|ahead of the evening meal",
        reasons="guests were coming|visitors were expected; everyone was hungry|all of them wanted to eat",
    ),
    Topic(
        "football",
        agents="the striker|the forward; our goalkeeper|the team's keeper; the coach|the trainer; a young "
        "player|one of the juniors",
        verbs="win/won/won|take/took/taken; lose/lost/lost|give away/gave away/given away; "
        "watch/watched/watched|follow/followed/followed; praise/praised/praised|applaud/applauded/applauded",
        objects="the final match|the last game of the cup; the penalty|the spot kick; the league title|the "
        "championship; a hard training session|a demanding practice",
        settings="at the stadium|on the home ground; in front of a loud crowd|before thousands of fans; in "
        "extra time|after the ninety minutes",
        reasons="the defence was weak|the back line made mistakes; it had rained all day|the pitch was soaked",
    ),
    Topic(
        "medicine",
        agents="the doctor|the physician; a nurse|the ward sister; the surgeon|the operating specialist; the "
        "patient|the sick woman",
        verbs="examine/examined/examined|check/checked/checked; treat/treated/treated|care for/cared for/cared "
        "for; describe/described/described|explain/explained/explained; "
        "ignore/ignored/ignored|overlook/overlooked/overlooked",
        objects="the broken arm|the fractured limb; a high fever|a raised temperature; the strange rash|the "
        "odd marks on the skin; the new vaccine|the recently approved injection",
        settings="in the hospital|at the clinic; during the night shift|in the small hours; after the "
        "operation|once the surgery was over",
        reasons="the pain had grown worse|it hurt more and more; the laboratory results were late|the tests "
        "took too long",
    ),
    Topic(
        "astronomy",
        agents="the astronomer|the stargazer; a team of researchers|a group of scientists; the space "
        "agency|the organisation for spaceflight; an amateur|a hobby observer",
        verbs="discover/discovered/discovered|find/found/found; "
        "photograph/photographed/photographed|picture/pictured/pictured; "
        "study/studied/studied|investigate/investigated/investigated; "
        "predict/predicted/predicted|foresee/foresaw/foreseen",
        objects="a distant galaxy|a remote cluster of stars; the comet|the icy body with its tail; the rings "
        "of Saturn|the bands around the planet Saturn; a solar eclipse|the moon's passage before the sun",
        settings="with the new telescope|through a better instrument; from the mountain observatory|high up on "
        "the peak; on a clear night|under a cloudless sky",
        reasons="the signal was unusually strong|a bright flash had been recorded; funding was about to "
        "end|the money was running out",
    ),
    Topic(
        "finance",
        agents="the bank|the lender; an investor|a shareholder; the finance minister|the head of the treasury; "
        "the small company|the little firm",
        verbs="buy/bought/bought|acquire/acquired/acquired; sell/sold/sold|get rid of/got rid of/got rid of; "
        "raise/raised/raised|increase/increased/increased; cut/cut/cut|reduce/reduced/reduced",
        objects="the interest rate|the price of credit; a large block of shares|a big package of stock; the "
        "annual budget|this year's spending plan; its gold reserves|the bullion in its vaults",
        settings="on the stock exchange|in early trading; in the third quarter|between July and September; "
        "without any warning|to everybody's surprise",
        reasons="inflation was rising|prices kept climbing; profits had collapsed|earnings were far below the forecast",
    ),
    Topic(
        "software",
        agents="the programmer|the developer; a new intern|the trainee; the security team|the people in charge "
        "of safety; an automatic script|a scheduled job",
        verbs="fix/fixed/fixed|repair/repaired/repaired; delete/deleted/deleted|remove/removed/removed; "
        "test/tested/tested|verify/verified/verified; rewrite/rewrote/rewritten|redo/redid/redone",
        objects="the login page|the sign-in form; an old database|a legacy data store; the backup files|the "
        "saved copies; a memory leak|a bug that wastes memory",
        settings="on the main server|in production; late on Friday|at the end of the working week; before the "
        "release|ahead of the launch",
        reasons="users had complained|customers were reporting errors; the deadline was near|there was hardly "
        "any time left",
    ),
    Topic(
        "garden",
        agents="the gardener|the man who keeps the grounds; our neighbour|the woman next door; a flock of "
        "birds|some sparrows; the children|the kids",
        verbs="plant/planted/planted|set out/set out/set out; "
        "water/watered/watered|sprinkle/sprinkled/sprinkled; pick/picked/picked|gather/gathered/gathered; "
        "ruin/ruined/ruined|spoil/spoiled/spoiled",
        objects="the apple trees|the orchard; a row of roses|a line of rose bushes; the ripe strawberries|the "
        "red berries; the vegetable bed|the patch of carrots and beans",
        settings="behind the house|in the back yard; in early spring|when the snow had melted; after sunset|in "
        "the evening light",
        reasons="the soil was dry|there had been no rain; frost was expected|a cold night was coming",
    ),
    Topic(
        "music",
        agents="the orchestra|the symphony players; a famous singer|a well-known vocalist; the pianist|the "
        "woman at the piano; a street band|some buskers",
        verbs="perform/performed/performed|play/played/played; record/recorded/recorded|tape/taped/taped; "
        "rehearse/rehearsed/rehearsed|practise/practised/practised; cancel/cancelled/cancelled|call off/called "
        "off/called off",
        objects="the violin concerto|the piece for violin; a love song|a romantic ballad; the opening "
        "concert|the first show of the season; an unknown sonata|a sonata that nobody had heard",
        settings="in the old theatre|on the historic stage; for a small audience|before a handful of "
        "listeners; during the festival|as part of the summer festival",
        reasons="the conductor was ill|the man with the baton had a cold; the tickets had sold out|not one "
        "seat was left",
    ),
)
"""Topics of the sentences that are measured with."""

CALIBRATION: Final = (
    Topic(
        "sea",
        agents="the sailor|the old mariner; a fishing crew|the men on the trawler; the captain|the ship's "
        "master; a pod of dolphins|a few dolphins; the harbour pilot|the port's guide",
        verbs="cross/crossed/crossed|pass/passed/passed; tow/towed/towed|drag/dragged/dragged; "
        "load/loaded/loaded|fill/filled/filled; sink/sank/sunk|scuttle/scuttled/scuttled; "
        "chart/charted/charted|map/mapped/mapped",
        objects="the narrow strait|the channel; a damaged tanker|the broken oil ship; heavy nets|the tangled "
        "nets; the lighthouse island|the rock with the beacon; twelve containers|a dozen steel boxes",
        settings="through the storm|in rough weather; near the coast of Norway|off Bergen; at low tide|when "
        "the water was out; with a wooden boat|aboard a small vessel",
        reasons="the engine had failed|the motor would not start; the wind had turned|a gale was blowing from "
        "the north",
    ),
    Topic(
        "law",
        agents="the judge|the magistrate; her lawyer|the attorney; the jury|the twelve jurors; a witness|the "
        "man who saw it; the parliament|the lower house",
        verbs="reject/rejected/rejected|dismiss/dismissed/dismissed; "
        "sign/signed/signed|approve/approved/approved; appeal against/appealed against/appealed "
        "against|contest/contested/contested; draft/drafted/drafted|write down/wrote down/written down; "
        "quote/quoted/quoted|cite/cited/cited",
        objects="the verdict|the ruling; a tax treaty|an agreement on duties; the contract of 1987|the "
        "eighty-seven deal; the second amendment|the clause that was added; a claim for damages|a demand for "
        "compensation",
        settings="in court|before the tribunal; by a narrow majority|with three votes to spare; in a letter to "
        "the press|in an open letter; under oath|having sworn to be truthful",
        reasons="the evidence was thin|nothing could be proved; the constitution forbids it|basic rights were at stake",
    ),
    Topic(
        "school",
        agents="the teacher|the instructor; a pupil|a boy in the third form; the headmistress|the principal; "
        "both parents|mother and father; an exchange student|the girl from Brazil",
        verbs="solve/solved/solved|work out/worked out/worked out; forget/forgot/forgotten|miss/missed/missed; "
        "correct/corrected/corrected|mark/marked/marked; translate/translated/translated|render/rendered/rendered; "
        "draw/drew/drawn|sketch/sketched/sketched",
        objects="the algebra exercise|the equation; her homework|the essay for Monday; a long poem|the verses; "
        "the spelling test|the dictation; a triangle|the figure with three sides",
        settings="in the classroom|at her desk; on the first day of term|when lessons began; without a "
        "calculator|by hand; for the exam|in view of the finals",
        reasons="the bell had rung|class was over; nobody had understood|the explanation was confusing",
    ),
    Topic(
        "railway",
        agents="the train driver|the engineer in the cab; a passenger|a traveller; the ticket inspector|the "
        "conductor of the train; commuters|people on their way to work; the signalman|the man in the box",
        verbs="stop/stopped/stopped|halt/halted/halted; leave/left/left|abandon/abandoned/abandoned; "
        "board/boarded/boarded|enter/entered/entered; delay/delayed/delayed|hold up/held up/held up; "
        "inspect/inspected/inspected|look over/looked over/looked over",
        objects="the night express|the sleeper; a freight wagon|a goods car; platform 9|the ninth platform; "
        "the suitcase|the leather luggage; the steep bridge|the viaduct",
        settings="at the junction|where the lines meet; between Lyon and Geneva|on the way to Geneva; at 6:45 "
        "in the morning|just before seven; in the tunnel|below the mountain",
        reasons="a tree lay on the track|the line was blocked; the brakes were overheating|smoke came from the wheels",
    ),
    Topic(
        "theology and history",
        agents="the emperor|the ruler of Rome; a monk|the brother from the abbey; the queen|Her Majesty; "
        "rebels|the insurgents; an archaeologist|a digger of ruins",
        verbs="conquer/conquered/conquered|seize/seized/seized; "
        "found/founded/founded|establish/established/established; "
        "destroy/destroyed/destroyed|demolish/demolished/demolished; "
        "worship/worshipped/worshipped|revere/revered/revered; unearth/unearthed/unearthed|dig up/dug up/dug up",
        objects="the walled city|the fortress; a monastery|a religious house; the bronze statue|the image in "
        "bronze; ancient scrolls|manuscripts on parchment; the trade route|the road of the merchants",
        settings="in the fourth century|around 350 AD; after a long siege|when the defenders starved; beyond "
        "the Danube|on the far bank of the river; according to legend|as the chronicle says",
        reasons="the harvest had failed|famine ruled the land; the heir was a child|the successor was too young",
    ),
    Topic(
        "chemistry",
        agents="the chemist|the woman in the lab coat; a robot arm|the machine; the factory|the plant; an "
        "assistant|the technician; the inventor|the holder of the patent",
        verbs="heat/heated/heated|warm/warmed/warmed; mix/mixed/mixed|blend/blended/blended; "
        "measure/measured/measured|weigh/weighed/weighed; dissolve/dissolved/dissolved|dilute/diluted/diluted; "
        "spill/spilled/spilled|pour out/poured out/poured out",
        objects="the acid|a corrosive liquid; 20 grams of salt|some sodium chloride; the polymer|the plastic; "
        "copper wire|a thread of copper; the green crystals|the solid residue",
        settings="in a glass flask|inside the beaker; at 300 degrees|above its melting point; under "
        "vacuum|with the air pumped out; by accident|unintentionally",
        reasons="the reaction was slow|hardly any product had formed; a sensor was faulty|the gauge showed nonsense",
    ),
    Topic(
        "fashion",
        agents="the tailor|the dressmaker; a model|the girl on the catwalk; the shop assistant|the salesman; "
        "customers|shoppers; an elegant gentleman|a well-dressed man",
        verbs="sew/sewed/sewn|stitch/stitched/stitched; wear/wore/worn|put on/put on/put on; "
        "order/ordered/ordered|request/requested/requested; iron/ironed/ironed|press/pressed/pressed; "
        "return/returned/returned|bring back/brought back/brought back",
        objects="the silk dress|a gown of silk; blue jeans|denim trousers; a woollen coat|the warm jacket; "
        "leather shoes|a pair of boots; the missing button|the lost fastener",
        settings="for the wedding|on the bride's big day; at half price|with a discount; in Milan|at the "
        "Italian fair; online|over the internet",
        reasons="the colour had faded|it looked washed out; the size was wrong|it did not fit",
    ),
    Topic(
        "wildlife",
        agents="the wolf|the grey predator; an elephant herd|the elephants; a ranger|the park warden; the "
        "biologist|the zoologist; poachers|illegal hunters",
        verbs="hunt/hunted/hunted|chase/chased/chased; protect/protected/protected|guard/guarded/guarded; "
        "count/counted/counted|number/numbered/numbered; frighten/frightened/frightened|scare/scared/scared; "
        "feed/fed/fed|nourish/nourished/nourished",
        objects="a wounded deer|an injured stag; the nesting eagles|the eagles on the cliff; rare "
        "butterflies|endangered insects; a snake|the viper; the lion cubs|the young lions",
        settings="across the savannah|over the grassland; near the waterhole|where animals drink; deep in the "
        "forest|among the pines; for seven years|since the reserve was opened",
        reasons="the winter was harsh|food was scarce; the fence had been cut|there was a gap in the wire",
    ),
    Topic(
        "travel",
        agents="the tourist|the holidaymaker; a guide|the local expert; my brother|my sibling; a honeymoon "
        "couple|the newly weds; the airline|the carrier",
        verbs="visit/visited/visited|see/saw/seen; book/booked/booked|reserve/reserved/reserved; "
        "recommend/recommended/recommended|suggest/suggested/suggested; avoid/avoided/avoided|keep away from/kept "
        "away from/kept away from; climb/climbed/climbed|ascend/ascended/ascended",
        objects="the pyramids|the tombs of the pharaohs; a cheap hostel|a budget hotel; Mount Fuji|Japan's "
        "highest summit; the flight to Toronto|the plane to Canada; the crowded beach|the busy shore",
        settings="last August|in the holidays; with only a backpack|carrying hardly anything; despite the "
        "heat|although it was hot; for less than 400 euros|at small expense",
        reasons="the visa had expired|the papers were no longer valid; a friend had insisted|somebody had "
        "begged for it",
    ),
    Topic(
        "politics and press",
        agents="the president|the head of state; a journalist|the reporter; protesters|demonstrators; the "
        "mayor|the leader of the town; the opposition|the other party",
        verbs="announce/announced/announced|declare/declared/declared; "
        "criticize/criticized/criticized|attack/attacked/attacked; "
        "publish/published/published|print/printed/printed; demand/demanded/demanded|call for/called for/called "
        "for; postpone/postponed/postponed|put off/put off/put off",
        objects="the election|the ballot; a ceasefire|an end to the fighting; the climate report|the paper on "
        "emissions; secret documents|classified files; new housing|more apartments",
        settings="on television|in a live broadcast; outside the embassy|at the gates; in a short statement|in "
        "two sentences; before the summit|ahead of the talks",
        reasons="the polls were falling|voters were turning away; the scandal had grown|the affair would not end",
    ),
)
"""Topics of the sentences that are calibrated with."""
