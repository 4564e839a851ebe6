"""The oracle of M3ToolEval: a program for every task, by hand. Each calls the tools for every fact and every sum."""

MESSAGES = {
    "full_alien_message_decoding": (
        "text = reverse_string(convert_hex_to_ascii('7a686b7a686d666d686b'))\nfinal_answer(caesar_decode(text, 5))"
    ),
    "shortest_caesar_decoded_message": (
        "codes = ['636261', '686766', '6365646362', '6867666865']\n"
        "texts = [caesar_decode(reverse_string(convert_hex_to_ascii(code)), 4) for code in codes]\n"
        "final_answer(minimum_value([string_length(text) for text in texts]))"
    ),
    "longest_decoded_string": (
        "texts = [caesar_decode(reverse_string(convert_hex_to_ascii(code)), shift)\n"
        "         for code, shift in zip(['4a656d', '4b6867', '4c696f'], [2, 3, 5])]\n"
        "longest = maximum_value([string_length(text) for text in texts])\n"
        "final_answer(next(text for text in texts if string_length(text) == longest))"
    ),
    "specific_decoded_character": (
        "text = reverse_string(convert_hex_to_ascii('576562546563686e6f6c6f6779'))\n"
        "final_answer(caesar_decode(text, 7))"
    ),
    "hex_caesar_combined_decoding": "final_answer(caesar_decode(convert_hex_to_ascii('4d4f5252'), 2))",
    "multi_step_decoding_challenge": (
        "text = reverse_string(convert_hex_to_ascii('726f77746e6153794d'))\nfinal_answer(caesar_decode(text, 3))"
    ),
    "length_based_decoding_puzzle": (
        "texts = [caesar_decode(convert_hex_to_ascii(code), 6) for code in ['646566', '6a6b6c6d', '68696a6b6c']]\n"
        "final_answer(next(text for text in texts if string_length(text) == 5))"
    ),
    "maximum_value_decoding": (
        "codes = ['313233', '343536', '373839']\n"
        "texts = [reverse_string(caesar_decode(convert_hex_to_ascii(code), 4)) for code in codes]\n"
        "final_answer(maximum_value([int(text) for text in texts]))"
    ),
}
GENES = {
    "find_most_common_nucleotide_and_transcribe": (
        "letter, _ = find_max_nucleotide(count_nucleotides('AGCTAGCCGATGCA'))\n"
        "final_answer(transcribe_dna_to_mrna(letter * 3))"
    ),
    "validate_transcribe_translate": (
        "dna = 'AGCTTX'\n"
        "if is_valid_dna_sequence(dna):\n"
        "    final_answer(translate_mrna_to_amino_acid(transcribe_dna_to_mrna(dna)))\n"
        "final_answer('Invalid DNA sequence')"
    ),
    "reverse_transcribe_count_max_nucleotide": (
        "counts = count_nucleotides(reverse_transcribe_mrna_to_dna('AUGCUUUUC'))\n"
        "final_answer(find_max_nucleotide(counts)[0])"
    ),
    "transcribe_translate_amino_acid_length": (
        "acids = translate_mrna_to_amino_acid(transcribe_dna_to_mrna('AGCTAGCGTA'))\n"
        "final_answer(len(acids.split('-')))"
    ),
    "reverse_transcribe_palindrome_check": (
        "final_answer(count_nucleotides(reverse_transcribe_mrna_to_dna('AUGCGU')))"
    ),
    "validate_find_longest_valid_sequence": (
        "valid = [dna for dna in ['AGCTAG', 'XYZABC', 'GTCAGT'] if is_valid_dna_sequence(dna)]\n"
        "final_answer(sorted(valid, key=len, reverse=True)[0])"
    ),
    "transcribe_translate_find_amino_acid": (
        "acids = translate_mrna_to_amino_acid(transcribe_dna_to_mrna('AGCTAGCGTA'))\n"
        "final_answer('Methionine' in acids)"
    ),
    "find_most_common_nucleotide_combined_sequence": (
        "final_answer(tuple(find_max_nucleotide(count_nucleotides(''.join(['AGCT', 'CCGA', 'TTAG'])))))"
    ),
}
VALUE = (
    "def value(quantity, price, rate, tariff):\n"
    "    local = convert_currency(quantity * price, rate)\n"
    "    return estimate_final_value(local, calculate_tariff(local, tariff))\n"
)
TRADE = {
    "estimate_final_value": "final_answer(estimate_final_value(150, 7.5))",
    "interstellar_trade_transaction": "final_answer(value(100, 50, 1.5, 8))",
    "taxed_commodity_export": "final_answer(value(200, 120, 2.0, 5))",
    "best_trade_route_selection": (
        "final_answer(find_minimum([value(500, 1, rate, tariff) for rate, tariff in [(1.3, 7), (1.4, 9), (1.2, 4)]]))"
    ),
    "most_profitable_conversion_rate": ("final_answer(value(1000, 300, find_maximum([2.5, 2.3, 2.7]), 10))"),
    "bulk_trade_quantity_discount": "final_answer(value(2500, calculator('1500 * 0.95'), 1.8, 12))",
    "comparative_profit_analysis": "final_answer(find_maximum([value(300, 100, 1.6, 6), value(500, 80, 1.8, 5)]))",
    "fluctuating_conversion_rates_impact": (
        "final_answer([value(quantity, 200, rate, 7) for quantity, rate in [(100, 1.7), (150, 1.5), (200, 1.6)]])"
    ),
    "optimal_trade_route_multiple_commodities": (
        "final_answer(find_maximum([value(150, 200, 1.7, 8), value(250, 300, 1.5, 5), value(100, 400, 2.0, 10)]))"
    ),
    "seasonal_price_fluctuation_impact": "final_answer([value(200, price, 1.8, 7) for price in (200, 250, 180)])",
    "balancing_multiple_trade_offers": "final_answer(value(300, 250, 1.6, 6) - value(150, 220, 1.5, 4))",
    "dynamic_pricing_strategy": (
        "prices = [(120, calculator('300 * 1.1')), (100, 300), (80, calculator('300 * 0.95'))]\n"
        "final_answer([round(value(quantity, price, 1.8, 6), 2) for quantity, price in prices])"
    ),
    "quantity_tariff_tradeoff": (
        "values = {'Option 1': value(200, 400, 1.7, 10), 'Option 2': value(150, 400, 1.7, 5)}\n"
        "best = find_maximum(list(values.values()))\n"
        "final_answer(next(name for name in values if values[name] == best))"
    ),
    "optimizing_bulk_purchase_discounts": (
        "options = [(950, 150), (1050, calculator('150 * 0.95')), (950, 180), (1050, calculator('180 * 0.95'))]\n"
        "final_answer(find_maximum([value(quantity, price, 1.6, 7) for quantity, price in options]))"
    ),
    "currency_fluctuation_hedging": (
        "final_answer(find_minimum([value(500, 250, rate, 8) for rate in (1.5, 1.65, 1.8)]))"
    ),
    "variable_tariff_profit_maximization": (
        "options = [(400, 6), (350, 4), (450, 7)]\n"
        "final_answer(find_maximum([value(quantity, 300, 1.7, tariff) for quantity, tariff in options]))"
    ),
    "long_term_vs_short_term_trade_decisions": (
        "later = calculator('200 * 1.1')\n"
        "final_answer([value(600, 200, 1.8, 5), round(value(600, later, calculator('1.8 - 0.2'), 7), 2)])"
    ),
}
TRIP = (
    "def flight(start, end, date):\n"
    "    return min([one['price'] for one in find_flights(start, end, date)])\n"
    "def nights(city, count, *wishes, best=False, without=None):\n"
    "    found = [one for one in book_hotel(city, list(wishes)) if without not in one['preferences']]\n"
    "    if best:\n"
    "        top = max([one['rating'] for one in found])\n"
    "        found = [one for one in found if one['rating'] == top]\n"
    "    return min([one['price_per_night'] for one in found]) * count\n"
)
TRAVEL = {
    "plan_trip_to_0": (
        "hotel = book_hotel('A', ['wifi', 'pool'])[0]\n"
        "final_answer(budget_calculator(flight('E', 'A', '2023-12-25'), hotel['price_per_night'], 5))"
    ),
    "cheapest_new_york_trip": "final_answer(sum([flight('E', 'B', '2023-11-10'), nights('B', 3)]))",
    "luxury_tokyo_trip": "final_answer(sum([flight('E', 'C', '2023-10-05'), nights('C', 7, best=True)]))",
    "budget_trip_to_paris": "final_answer(sum([flight('E', 'A', '2023-12-25'), nights('A', 4)]))",
    "new_york_trip_with_specific_preferences": (
        "final_answer(sum([flight('E', 'B', '2023-11-10'), nights('B', 3, 'gym', without='pool')]))"
    ),
    "london_business_trip": "final_answer(sum([flight('E', 'D', '2023-08-15'), nights('D', 4, 'wifi')]))",
    "last_minute_tokyo_trip": "final_answer(sum([flight('E', 'C', '2023-12-01'), nights('C', 3)]))",
    "new_york_holiday_season": ("final_answer(sum([flight('E', 'B', '2023-12-15'), nights('B', 7, 'gym', 'pool')]))"),
    "multi_city_business_trip": (
        "final_answer(sum([flight('E', 'B', '2023-11-10'), nights('B', 2, 'wifi'),\n"
        "                  flight('B', 'C', '2023-11-13'), nights('C', 3, 'wifi')]))"
    ),
    "leisure_multi_city_trip": (
        "final_answer(sum([flight('E', 'A', '2023-12-25'), nights('A', 3),\n"
        "                  flight('A', 'D', '2023-12-28'), nights('D', 2)]))"
    ),
    "three_city_european_tour": (
        "final_answer(sum([flight('E', 'A', '2023-12-25'), nights('A', 3, 'wifi'),\n"
        "                  flight('A', 'D', '2023-12-29'), nights('D', 4, 'wifi'),\n"
        "                  flight('D', 'C', '2024-01-02'), nights('C', 3, 'wifi')]))"
    ),
    "adventure_trip": (
        "final_answer(sum([flight('E', 'C', '2023-12-01'), nights('C', 2, 'pool'),\n"
        "                  flight('C', 'B', '2023-12-03'), nights('B', 3),\n"
        "                  flight('B', 'D', '2023-12-06'), nights('D', 2, 'gym')]))"
    ),
    "cultural_exploration_tour": (
        "final_answer(sum([flight('E', 'A', '2023-12-25'), nights('A', 4, 'wifi'),\n"
        "                  flight('A', 'B', '2023-12-29'), nights('B', 2, 'wifi'),\n"
        "                  flight('B', 'D', '2024-01-01'), nights('D', 3, 'wifi', best=True)]))"
    ),
    "leisure_and_business_combo": (
        "final_answer(sum([flight('E', 'D', '2023-08-15'), nights('D', 3, 'wifi', 'gym'),\n"
        "                  flight('D', 'A', '2023-08-18'), nights('A', 2, 'pool'),\n"
        "                  flight('A', 'C', '2023-08-20'), nights('C', 2, 'wifi', 'gym')]))"
    ),
    "grand_tour_vacation": (
        "final_answer(sum([flight('E', 'C', '2023-12-01'), nights('C', 2, best=True),\n"
        "                  flight('C', 'D', '2023-12-03'), nights('D', 3, best=True),\n"
        "                  flight('D', 'B', '2023-12-06'), nights('B', 2, best=True),\n"
        "                  flight('B', 'E', '2023-12-08'), nights('E', 3, best=True)]))"
    ),
}
BROWSE = (
    "import re\n"
    "def read(shown):\n"
    "    '''The rest of the page that has been opened.'''\n"
    "    text = shown\n"
    "    while 'Reached the bottom' not in (more := scroll_down()):\n"
    "        text += more\n"
    "    return text\n"
    "def linked(text, below):\n"
    "    return [url for url in re.findall(r\"\\[Clickable '([^']+)'\\]\", text) if url.startswith(below)]\n"
    "def pages(top):\n"
    "    '''Every page two links below one, as a visitor finds them.'''\n"
    "    found = []\n"
    "    for group in linked(read(click_url(top)), top):\n"
    "        found += [read(click_url(url)) for url in linked(read(click_url(group)), top)]\n"
    "    return found\n"
    "def line(text, label):\n"
    "    return re.search(rf'^{label}: (.*)$', text, re.M).group(1)\n"
    "def person(name):\n"
    "    return next(text for text in pages('/team') if name + ' of ' in text)\n"
    "def prices(*names):\n"
    "    shop = {line(text, 'Item'): line(text, 'Price').split('$')[-1] for text in pages('/products')}\n"
    "    return ' + '.join(shop[name] for name in names)\n"
)
WEB = {
    **{
        f"price_of_legendary_{kind.lower().replace(' ', '_')}": f"final_answer(prices('Legendary {kind}'))"
        for kind in ("Wand", "Potion", "Spellbook", "Crystal Ball")
    },
    **{
        f"{what}_of_{name.lower().replace(' ', '_')}": f"final_answer({code.format(name=name)})"
        for what, code in {
            "email": "line(person('{name}'), 'Email')",
            "phone_number": "line(person('{name}'), 'Phone')",
            "expertise": "line(person('{name}'), 'Expertise')",
            "department": "re.search('{name} of (.*) Department', person('{name}')).group(1)",
        }.items()
        for name in ("Allison Hill", "Meredith Barnes", "Kimberly Dudley", "Henry Santiago")
    },
    **{
        f"total_price_of_selected_items{which}": (
            f"total = calculator('({{}}) * {share}'.format(prices(*{names!r})))\nfinal_answer(f'{{total:.2f}}')"
        )
        for which, share, names in (
            ("_0", 1, ("Legendary Wand", "Enchanted Potion", "Magical Spellbook")),
            ("_1", 1, ("Mystical Crystal Ball", "Rare Crystal Ball", "Magical Spellbook")),
            ("_2", 1, ("Ancient Wand", "Mystical Wand", "Enchanted Potion")),
            ("_3", 1, ("Mystical Crystal Ball", "Rare Crystal Ball", "Magical Spellbook", "Mystical Potion")),
            ("_after_discount_0", 0.9, ("Legendary Wand", "Enchanted Potion", "Magical Spellbook")),
            ("_after_discount_1", 0.9, ("Mystical Crystal Ball", "Magical Spellbook")),
            ("_after_discount_2", 0.9, ("Ancient Wand", "Enchanted Potion")),
            ("_after_discount_3", 0.9, ("Ancient Crystal Ball", "Rare Wand")),
        )
    },
    **{
        f"people_in_{name.lower().replace(' ', '_')}": (
            f"final_answer(sum([1 for text in pages('/team') if 'of {name} Department' in text]))"
        )
        for name in ("Sales", "Customer Support")
    },
    **{
        f"match_phone_number_to_person_{name}": (
            f"text = next(text for text in pages('/team') if 'Phone: {phone}\\n' in text)\n"
            "final_answer(re.search('(.*) of .* Department', text).group(1))"
        )
        for name, phone in {
            "thomas_ramos": "432-867-7360",
            "james_house": "+1-972-434-3098x05009",
            "jordan_york": "(719)639-9091x6998",
            "mike_allen": "310-579-9118x38425",
        }.items()
    },
}
GOLD = {
    **{f"message_decoder/{name}": code for name, code in MESSAGES.items()},
    **{f"cryptobotanists_plant_dna_sequencer/{name}": code for name, code in GENES.items()},
    **{f"trade_calculator/{name}": VALUE + code for name, code in TRADE.items()},
    **{f"travel_itinerary_planning/{name}": TRIP + code for name, code in TRAVEL.items()},
    **{f"web_browsing/{name}": BROWSE + code for name, code in WEB.items()},
}
