"""Word lists of the answerer: what carries no meaning, and what means much the same."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FUNCTION_WORDS = frozenset(
    _words("""
    a about above according actually after again against ago all also although am among an
    and answer any anybody anymore anyone anything are aren't around as at away be because
    been before being below between both but by can can't cannot could couldn't describe did
    didn't do document documents does doesn't doing don't done down due during each either
    else ever every everybody everyone exactly explain few for from further give given got
    gotten had hadn't has hasn't have haven't having he her here hers him his how however i
    if in information instead into is isn't it its itself just kind know let like likely
    list longer many may me mention mentioned might mine more most much must my myself name
    neither no nobody nor not of off on once one one's ones only or other our ours out over
    own paper papers per please question quite rather really regarding said same say says
    see shall she should shouldn't show since so some somebody someone something sort source
    sources such tell text than that that's the their theirs them themselves then there
    these they this those though through thus to too toward towards under until up upon us
    very via was wasn't we were weren't what what's when where whether which while who who's
    whom whose why will with within without won't would wouldn't yet you your yours
    """)
)

# Verbs and wide words that a question needs for its grammar more than for its meaning.
LIGHT_WORDS = frozenset(
    _words("""
    accept accord age allow amount appear apply arrive article ask available base be become begin
    belong big bring build buy call carry cause change charge come concern consist contain
    cost count cover create current currently date day decide deliver different drive
    duration earliest employ end equipment exist expect fall far feature find finish fit
    follow general get go grow guide handbook happen have held help high hold include
    introduce involve item keep large last latest lead leave level lie live long look lose
    main maintain major make manage manual many mean measure meet minutes month move much
    necessary need new next now number obtain occur offer often old open operate overall own
    part participate pay people percent percentage period person plan play policy possible
    prevent previous produce proportion provide publish put reach receive recommend reduce
    refund relate release report require review rise run say serve set share shut sit spend
    stand start stay stop store study survey take there thing time today total turn use
    value various want week work write year
    """)
)

# Verbs that leave it to their object to say what was done: "takes care".
EMPTY_VERBS = frozenset(_words("do come get give go have hold keep make put set sit stand take"))

NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        _words("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen twenty
        """)
    )
} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
    "hundred": "100",
    "thousand": "1000",
    "dozen": "12",
    "half": "0.5",
    "quarter": "0.25",
    "once": "1",
    "twice": "2",
}

IRREGULAR = {
    form: base
    for base, forms in {
        "become": "became",
        "begin": "began begun",
        "borrow": "borrowed",
        "break": "broke broken",
        "bring": "brought",
        "build": "built rebuilt rebuild",
        "bus": "buses",
        "buy": "bought",
        "child": "children",
        "choose": "chose chosen",
        "come": "came",
        "draw": "drew drawn",
        "drive": "drove driven",
        "fall": "fell fallen",
        "find": "found",
        "forbid": "forbade forbidden",
        "freeze": "froze frozen",
        "gas": "gases gasses",
        "give": "gave given",
        "fly": "flew flown",
        "go": "goes went gone",
        "grow": "grew grown",
        "half": "halves",
        "hold": "held",
        "know": "knew known",
        "keep": "kept",
        "lead": "led",
        "leave": "left",
        "lend": "lent",
        "lose": "lost",
        "make": "made",
        "man": "men",
        "meet": "met",
        "pay": "paid",
        "person": "persons",
        "ride": "rode ridden",
        "rise": "rose risen",
        "run": "ran",
        "see": "saw seen",
        "sell": "sold",
        "send": "sent",
        "shut": "shutting",
        "spend": "spent",
        "speak": "spoke spoken",
        "steal": "stole stolen",
        "swim": "swam swum",
        "take": "took taken",
        "teach": "taught",
        "tell": "told",
        "think": "thought",
        "wear": "wore worn",
        "win": "won",
        "woman": "women",
        "write": "wrote written",
    }.items()
    for form in forms.split()
}

# Each line is one meaning; a word may stand in several. The first word names it.
MEANINGS = (
    "achieve reach attain accomplish meet",
    "adult grown-up",
    "adopt approve pass agree accept",
    "aim goal target objective want purpose",
    "allow permit may permitted",
    "altitude elevation height high metre",
    "amount sum total quantity",
    "apply application applicant request",
    "author write writer wrote",
    "award grant give",
    "begin start launch commence open introduce onset",
    "benefit advantage gain",
    "big large great size huge",
    "bicycle bike cycling cyclist cycle",
    "borrow lend loan lent",
    "boss head chief leader director manager lead manage chair president managing",
    "build construct construction erect maker manufacture shipyard",
    "buy purchase acquire procure",
    "car vehicle automobile",
    "cancel cancelling cancellation withdraw",
    "care look tend maintain nurse",
    "carry transport convey",
    "cause reason because why due trigger",
    "change modify alter revise adapt",
    "charge recharge charging",
    "child kid children youth",
    "chair preside chairman chairwoman chairperson",
    "close shut closure closed",
    "commission commissioner",
    "company firm business enterprise operator",
    "complain complaint criticise criticism object",
    "consequence effect result impact outcome happen",
    "contain include hold comprise capacity room",
    "cost price fee pay charge expense spend rate euro dollar pound",
    "country nation national",
    "damage loss harm destroy",
    "deadline due latest until",
    "delay late postpone slip overdue punctual",
    "decide decision resolve vote adopt reject",
    "decrease fall drop reduce reduction decline lower cut shrink save saving down",
    "deposit security",
    "discount rebate reduction below off",
    "duration long last take",
    "employ employee staff work worker personnel workforce employment headcount hire",
    "end finish complete stop expire close cease final last",
    "enough sufficient suitable",
    "examine inspect inspection audit check test review control",
    "fail failure break defect fault",
    "famous known",
    "fast quick rapid speed",
    "find recover discover locate",
    "fix repair mend restore restoration renovate renovation",
    "forbid ban prohibit exclude",
    "free gratis",
    "help support assist aid",
    "holiday leave vacation",
    "house home household dwelling residential",
    "illness sick sickness disease",
    "increase rise grow growth climb raise gain up",
    "injure hurt wound injury",
    "instruct train training teach course lesson instruction",
    "invent found establish create",
    "job work position employment",
    "keep retain preserve store",
    "kill die death dead fatality",
    "law legal regulation rule",
    "length long kilometre metre distance far",
    "limit maximum cap most ceiling",
    "live reside resident residence inhabitant",
    "locate location lie situated where address place site stand",
    "measure measurement gauge",
    "member membership belong",
    "method way procedure process how",
    "money fund finance budget funding contribute donate donation subsidy",
    "month monthly",
    "move relocate shift",
    "night overnight nightly",
    "need require necessary requirement must prerequisite",
    "occur happen event meet held",
    "old age ageing",
    "own owner belong ownership possess",
    "participate participant part attend join",
    "passenger rider ridership",
    "person people human individual somebody citizen",
    "phone telephone call",
    "plan planned intend schedule programme",
    "pollution contamination contaminate emission pollute bacteria",
    "predecessor former previous before",
    "prevent avoid stop",
    "promise commit guarantee pledge",
    "protect protection safe safety secure guard",
    "punctual time",
    "put install place attach",
    "quarter district neighbourhood",
    "refund repay return reimburse",
    "rent rental hire lend lease",
    "replace replacement substitute successor change",
    "report report inform tell announce",
    "return back",
    "responsible responsibility answer accountable charge",
    "road street lane",
    "school pupil student",
    "share percentage proportion percent fraction",
    "ship boat vessel ferry",
    "shop store branch outlet",
    "show display present",
    "study research survey",
    "suggest recommend propose recommendation proposal advise suggestion",
    "supplier vendor maker manufacturer",
    "tax levy duty",
    "throw discard dispose dump",
    "ticket fare",
    "town city municipal municipality",
    "travel trip journey ride tour",
    "tree plant",
    "use apply employ usage",
    "visit visitor guest",
    "wage salary pay earn earnings remuneration",
    "warm heat hot warmth temperature",
    "week weekly",
    "worker labour",
    "year annual yearly annually",
    "young youth",
)

ABBREVIATIONS = frozenset(
    _words("""
    al approx apr art aug ca cf ch co corp dec dept dr e.g ed eds eq est etc feb fig figs
    i.e inc jan jul jun ltd mar max min mr mrs ms no nos nov oct p para pp prof sec sep sept
    st tel vol vs
    """)
)

ORIGIN_STATUS = {
    "draft": -1,
    "superseded": -2,
    "obsolete": -2,
    "withdrawn": -2,
    "outdated": -2,
    "final": 1,
    "approved": 1,
    "adopted": 1,
    "in force": 1,
}

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
