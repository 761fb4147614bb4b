/* SPDX-License-Identifier: Apache-2.0 */
#include "corpus_words.h"

/* clang-format off */

#include <stddef.h>

const struct corpus_kind corpus_kinds[] = {
    {"fox", '*'}, {"cat", '*'}, {"dog", '*'}, {"girl", 'f'}, {"boy", 'm'}, {"rabbit", '*'}, {"bear", '*'},
    {"bird", '*'}, {"dragon", '*'}, {"robot", '*'}, {"mouse", '*'}, {"frog", '*'}, {"owl", '*'}, {"squirrel", '*'},
    {"deer", '*'}, {"duck", '*'}, {"horse", '*'}, {"turtle", '*'}, {"lion", '*'}, {"tiger", '*'}, {"elephant", '*'},
    {"monkey", '*'}, {"penguin", '*'}, {"wolf", '*'}, {"hedgehog", '*'}, {"butterfly", '*'}, {"bee", '*'},
    {"fish", '*'}, {"whale", '*'}, {"dolphin", '*'}, {"snail", '*'}, {"pig", '*'}, {"cow", '*'}, {"sheep", '*'},
    {"goat", '*'}, {"kitten", '*'}, {"puppy", '*'}, {"dinosaur", '*'}, {"unicorn", '*'}, {"fairy", 'f'},
    {"wizard", 'm'}, {"knight", '*'}, {"pirate", '*'}, {"farmer", '*'}, {"baker", '*'}, {"princess", 'f'},
    {"prince", 'm'}, {"king", 'm'}, {"queen", 'f'}, {"giant", '*'}, {"ghost", '*'}, {"monster", '*'},
    {"witch", 'f'}, {"crab", '*'}, {"zebra", '*'}, {"giraffe", '*'}, {"kangaroo", '*'}, {"panda", '*'},
    {"otter", '*'}, {"badger", '*'}, {"beaver", '*'}, {"hamster", '*'}, {"parrot", '*'}, {"crow", '*'},
    {"goose", '*'}, {"swan", '*'}, {"chicken", '*'}, {"donkey", '*'}, {"camel", '*'}, {"crocodile", '*'},
    {"snake", '*'}, {"octopus", '*'}, {"shark", '*'}, {"seal", '*'}, {"spider", '*'}, {"ant", '*'}, {"elf", '*'},
    {"mermaid", 'f'}, {"alien", '*'}, {"sailor", '*'}, {"painter", '*'}, {"teacher", '*'}, {"doctor", '*'},
    {"clown", '*'}, {"snowman", 'm'}, {"man", 'm'}, {"woman", 'f'}, {"child", '*'},
    {"astronaut", '*'}, {"chef", '*'}, {"captain", '*'}, {"detective", '*'}, {"ninja", '*'}, {"scientist", '*'},
    {"nurse", '*'}, {"programmer", '*'}, {"dancer", '*'}, {"cowboy", 'm'}, {"gardener", '*'}, {"hippo", '*'},
    {"koala", '*'}, {"pony", '*'}, {"lamb", '*'}, {"lizard", '*'}, {"wombat", '*'}, {"mole", '*'}, {"raccoon", '*'},
    {"grandmother", 'f'}, {"grandfather", 'm'}, {NULL, 0},
};

const char *const corpus_names_f[] = {
    "Lily", "Mia", "Sara", "Anna", "Ella", "Zoe", "Lucy", "Amy", "Rosie", "Emma", "Nora", "Ruby", "Molly", "Daisy",
    "Ivy", "Clara", "Luna", "Maya", "Alice", "Poppy", NULL,
};

const char *const corpus_names_m[] = {
    "Tom", "Ben", "Max", "Leo", "Sam", "Jack", "Tim", "Finn", "Oliver", "Noah", "Hugo", "Felix", "Oscar", "Toby",
    "Charlie", "Theo", "Henry", "Bob", "Milo", "Peter", NULL,
};

const char *const corpus_adjectives[] = {
    "brave", "little", "kind", "happy", "shy", "clever", "tiny", "old", "sleepy", "friendly", "curious", "lonely",
    "funny", "gentle", "small", "young", "big", "quiet", "smart", "lazy", "proud", "hungry", "silly", "strong", "sad",
    "grumpy", NULL,
};

const char *const corpus_things[] = {
    "ball", "kite", "book", "lamp", "boat", "bell", "hat", "map", "drum", "box", "key", "ring", "coin", "stone",
    "shell", "flower", "cup", "basket", "blanket", "scarf", "coat", "shoe", "doll", "car", "train", "wagon", "bike",
    "clock", "mirror", "flute", "guitar", "crown", "sword", "wand", "lantern", "candle", "rope", "bucket", "umbrella",
    "balloon", "feather", "star", "leaf", "button", "pencil", "picture", "letter", "egg", "toy", "bag", "chair",
    "door", "necklace", "rocket", "swing", "submarine", "computer",
    "spaceship", "diamond", "phone", "tent", "teapot", "jar", "telescope", "cloud", "treasure", "table", NULL,
};

const char *const corpus_colors[] = {
    "red", "blue", "green", "yellow", "golden", "silver", "purple", "white", "pink", "orange", "shiny", NULL,
};

const char *const corpus_foods[] = {
    "cake", "pie", "cookie", "apple", "pear", "pancake", "carrot", "peach", "muffin", "sandwich", NULL,
};

const char *const corpus_places[] = {
    "in the forest", "by the river", "on a green hill", "near the sea", "in a small town", "under a big tree",
    "on a farm", "in a castle", "by the lake", "in the mountains", "on a small island", "in a garden", "in the city",
    "in a warm cave", "at the edge of the woods", "in the meadow", "in a little village", "on the moon", NULL,
};

const char *const corpus_hobbies[] = {
    "sing", "dance", "read", "run in the grass", "look at the stars", "play in the rain", "climb trees", "tell jokes",
    "walk in the woods", "paint", "help others", "explore", "play with friends", "sleep in the sun", NULL,
};

const char *const corpus_skills[] = {
    "swim", "fly", "sing", "dance", "paint", "read", "climb", "jump high", "ride a bike", "bake bread",
    "play the drum", "whistle", NULL,
};

const char *const corpus_sad[] = {"sad", "scared", "worried", "upset", "tired", NULL};

const char *const corpus_glad[] = {"happy", "proud", "excited", "glad", "thankful", NULL};

const char *const corpus_openings[] = {
    "Once upon a time, there was a~ {adj} {kind} named {name}.",
    "Once upon a time, there was a~ {adj} {kind} named {name}.",
    "Once upon a time, there was a~ {adj} {kind}. {His} name was {name}.",
    "Once upon a time, a~ {adj} {kind} named {name} lived {place}.",
    "Long ago, there lived a~ {adj} {kind} named {name}.",
    "There once was a~ {adj} {kind} named {name}.",
    "{name} was a~ {adj} {kind} who lived {place}.",
    NULL,
};

/* The friend of a plot is met in the plot, so that every story introduces whom it names. */
const char *const corpus_plots[] = {
    "One [sunny |windy |fine |]day, {name} found a~ {color} {thing} {place2}. [{He} wanted to play with the {thing}, "
    "but it was broken.|\"What a~ nice {thing}!\" said [{name}|the {kind}]. But the {thing} was broken.] {name} was "
    "{sad}. Then a~ {fkind} named {friend} came by and said, \"Do not worry, {name}. I [will|can] help you.\" They "
    "worked [all day|all morning|for a long time], and at last the {thing} was as good as new. [{name}|The {kind}] "
    "was so {glad} and said, \"Thank you, {friend}!\"",

    "{name} had a~ {color} {thing}. {He} [loved it very much|took it everywhere]. One [windy |cold |]day, the "
    "{thing} was gone! {name} [looked under the bed|looked behind the door] and {place2}, but {he} could not find "
    "it. {name} was {sad}. {His} friend {friend} said, \"Let us look together.\" [They looked high and low.|They "
    "walked and walked.] At last {friend} saw something {color} in [the grass|a tree|the sand|a hole]. It was the "
    "{thing}! {name} [hugged|thanked] {friend} and was {glad} again.",

    "One day, {name} saw a~ {color} {thing} {place2}. {He} wanted to take it home, but the {thing} was too heavy. "
    "{name} pulled and pulled, but it did not move. \"[I am not strong enough|This is too hard],\" said [{name}|the "
    "{kind}]. A~ {fkind} named {friend} heard {him}. \"I will help you,\" said {friend}. Together they pulled, and "
    "the {thing} moved. [They carried it home.|They took it home and laughed.] {name} was {glad} and shared the "
    "{thing} with {friend}.",

    "One [evening|night|day], a big storm came. The wind was loud and the rain was cold. [{name}|The {kind}] was "
    "{sad} and ran to find a safe place. [Under a tree|In a small cave|Near the old bridge], {he} met a~ {fkind} "
    "named {friend}. {friend} was wet and [scared|cold] too. \"Come with me,\" said [{name}|the {kind}]. \"My home "
    "is warm and dry.\" They [ran home|went inside] and ate a~ {food}. When the storm was over, [the sun came "
    "out|they saw a big rainbow]. {name} and {friend} were {glad}.",

    "One day, {name} baked a~ [big|sweet|warm] {food}. It smelled so good! {He} wanted to eat it all. Then a~ "
    "{fkind} named {friend} came to the door. {friend} was hungry and {sad}. {name} looked at the {food} and "
    "[thought for a while|had an idea]. \"Let us share it,\" said [{name}|the {kind}]. They sat down and ate the "
    "{food} together. It tasted even better than before. {friend} was {glad} and said, \"Thank you, {name}. You are "
    "very kind.\"",

    "{name} wanted to [learn to|know how to] {skill}. {He} tried and tried, but it was too hard. [{name}|The {kind}] "
    "was {sad}. \"I will never learn to {skill},\" {he} said. A~ {fkind} named {friend} saw {him} and said, \"[Do "
    "not give up|Try again|You can do it]. I will show you.\" Every day, {name} and {friend} went out and tried "
    "again. One morning, {name} could {skill}! Everyone clapped. [{name}|The {kind}] was very {glad}.",

    "One day, there was a big race {place2}. {name} wanted to win. A~ {fkind} named {friend} was in the race too. "
    "They ran [fast|very fast|side by side]. Then {friend} fell down and was {sad}. {name} [stopped|turned around] "
    "and said, \"Are you hurt?\" {He} helped {friend} stand up. They did not win, but they [crossed the line "
    "together|finished together]. Everyone clapped for them, and {name} got a~ {color} {thing}. [{name}|The {kind}] "
    "was {glad}.",

    "At night, {name} heard a strange sound. It came from a dark [cave|room|hole]. [{name}|The {kind}] was {sad}, "
    "but {he} wanted to know what it was. {He} took a~ {color} {thing} and went inside. \"Who is there?\" asked "
    "{name}. \"It is only me,\" said a small voice. It was a~ {fkind} named {friend} who was lost and alone. {name} "
    "smiled. \"Do not be afraid,\" {he} said. \"I will take you home.\" {friend} was {glad} and was not afraid any "
    "more.",

    "It was {name}'s birthday. {name} waited [all day|by the window], but no one came. {He} was {sad}. \"They all "
    "forgot me,\" said [{name}|the {kind}]. Then {he} heard a knock at the door. It was {friend} the {fkind} with a "
    "big [box|bag] and many friends. \"Surprise!\" they said. Inside was a~ {color} {thing}. [{name}|The {kind}] was "
    "so {glad}. They [danced and sang|played games] and ate a~ {food} together.",

    "One spring day, {name} put a tiny seed in the ground. {He} gave it water every day, but nothing grew. {name} "
    "was {sad}. {His} friend {friend} said, \"Wait a little longer. Good things take time.\" So {name} waited. One "
    "morning, there was a small green leaf! It grew and grew, and soon it was a [big tree|tall plant|beautiful "
    "flower]. [{name}|The {kind}] was {glad} and called {friend} to come and see it.",

    "One day, {name} walked too far and got lost {place2}. [It was getting dark.|The sky was dark and cold.] {name} "
    "was {sad} and [began to cry|sat down on a stone]. A~ {fkind} named {friend} came by and asked, \"Why are you so "
    "{sad}?\" \"I can not find my way home,\" said [{name}|the {kind}]. \"I know the way,\" said {friend}. \"Follow "
    "me.\" They walked [past the river|over the hill|by the light of the moon] and soon {name} saw {his} home. "
    "{name} was so {glad} and said, \"Thank you, {friend}!\"",

    "{name} had a good friend, a~ {fkind} named {friend}. One day, they both wanted the same {color} {thing}. \"It "
    "is mine!\" said [{name}|the {kind}]. \"No, it is mine!\" said {friend}. They [shouted|pulled and pulled], and "
    "the {thing} [fell down|broke]. They were both {sad}. Then {name} said, \"I am sorry, {friend}.\" \"I am sorry "
    "too,\" said {friend}. They [fixed the {thing}|picked up the {thing}] and played with it together. They were "
    "{glad} to be friends again.",

    "One day, {name} found a~ {color} {thing} {place2}. It was a magic {thing}! \"I can give you one wish,\" said "
    "the {thing}. {name} thought and thought. {He} could wish for [gold|a big house|a mountain of food]. Then {he} "
    "saw a~ {fkind} named {friend} who was {sad} and had no home. \"I wish for a home for {friend},\" said "
    "[{name}|the {kind}]. There was a bright light, and a little house stood there. {friend} was {glad}, and {name} "
    "was {glad} too.",

    "One day, {name} heard someone call, \"Help! Help!\" {He} ran and saw a~ {fkind} named {friend} who was stuck in "
    "a [deep hole|tall tree|muddy pond]. {friend} was {sad}. {name} was a~ {adj} {kind} and [wanted to help|did not "
    "run away]. {He} found a~ {color} {thing} and held it out. \"Hold on to the {thing}!\" said [{name}|the {kind}]. "
    "{friend} held on, and {name} pulled and pulled. Soon {friend} was safe. \"You saved me!\" said {friend}. "
    "[{name}|The {kind}] was {glad}.",

    "One cold day, {name} met an old {fkind} named {friend} {place2}. {friend} could not carry a [big|heavy] bag. "
    "\"Let me carry it for you,\" said [{name}|the {kind}]. They walked together and talked. When they came to the "
    "house, {friend} gave {name} a~ {color} {thing}. \"This is for you, because you are so kind,\" said {friend}. "
    "[{name}|The {kind}] was {glad} and [smiled all the way home|ran home to show it to everyone].",

    "{name} wanted to build a [house|boat|tower]. {He} worked [alone|all day], but it fell down. [{name}|The {kind}] "
    "was {sad}. Then {friend} the {fkind} came to see {him}. \"You need a friend to help you,\" said {friend}. "
    "{name} held the wood, and {friend} used a~ {color} {thing}. They worked until the sun went down. At last it was "
    "done, and it was [big and strong|very beautiful]. {name} and {friend} were {glad}.",
    NULL,
};

const char *const corpus_endings[] = {
    "From that day on, {name} and {friend} were best friends.",
    "They played together until the sun went down.",
    "{name} learned that it is good to help each other.",
    "And they all lived happily ever after.",
    "After that, everyone knew that {name} was a~ {adj} {kind}.",
    "{name} went home with a big smile and slept well that night.",
    "{name} learned that friends are the best gift of all.",
    "The end.",
    "And that is the story of {name}, the {adj} {kind}.",
    NULL,
};

const char *const corpus_requests[] = {
    "[Tell|tell] me a story about a~ {adj} {kind}[.||!]",
    "Tell me a story about a~ {adj} {kind}.",
    "[Tell|tell] me a [|short |little ]story about a~ {kind}[.|]",
    "[Please tell|Please write|Can you tell|Could you tell] me a story about a~ [{adj} {kind}|{kind}][.|?]",
    "[Tell me|Write] a story about a~ {kind} [named|called] {name}[.|]",
    "Tell me a story about a~ {adj} {kind} named {name}.",
    "[Tell me|Write me|I want|I would like] a story about {name} the {kind}[.|]",
    "[Tell me|I want] a story about {name}[.|]",
    "[Tell|tell] me a story about {name} and {friend}[.|]",
    "[Write|Please tell me|I want] a story about {name} and {friend}[.|]",
    "[Tell me|I want] a story about a~ [{adj} |]{kind} [named|called] {name} and a~ {fkind} [named|called] {friend}.",
    "[Tell|tell] me a story about a~ {kind} [named|called] {name}[.|]",
    "[Tell me|Write] a story about a~ {kind} and a~ {fkind}[.|]",
    "[Tell me|Write] a story about a~ [{adj} |]{kind} [and|with|who finds|who found] a~ [{color} |]{thing}[.|]",
    "[Tell|tell] me a story about a~ [{adj} |]{kind} [|who lives |living ]{place}[.|]",
    "Tell me a story about a~ {adj} {kind} and a~ {color} {thing}[.|]",
    "[Tell me a story|Write a story] about a~ {color} {thing}[.|]",
    "[Write|Make up|Give me|I want|I would like] a [|short |little ]story about a~ [{adj} {kind}|{kind}][.|, please.|]",
    "[A story|Story|story] about a~ [{adj} |]{kind}[.||, please]",
    "[Tell|tell] me about a~ {adj} {kind}[.|]",
    "[Tell|tell] me a [|short |little |nice ]story[.||, please.]",
    "[Please tell|Can you tell|Could you tell] me a story[.|?|]",
    "{kind}",
    NULL,
};

const char *const corpus_requests_again[] = {
    "[Tell|tell] me another [one|story][.||, please.]",
    "Tell me another story about a~ [{adj} |]{kind}[.|]",
    "[Now a story|And now one|One more] about a~ [{adj} |]{kind}[.|, please.]",
    "[Thank you! Now tell|Thanks. Now tell] me a story about a~ [{adj} |]{kind}.",
    "[Again|One more|More][!|, please.|]",
    NULL,
};

const char *const corpus_systems[] = {
    "You are a helpful assistant.",
    "You are a[ kind| friendly| small|] storyteller.",
    "You [tell|write] [short|little|happy] stories[ for children|].",
    "Be [kind|brief|helpful|short|nice][ and friendly|].",
    NULL,
};

const struct corpus_answer corpus_answers[] = {
    {"[Who|who|What] are you[?|]",
     "I am a small storyteller. [Ask me for a story about a~ {kind}!|I tell little stories.]"},
    {"[What is your name?|Do you have a name?|what is your name]", "My name is Stories. I am a small storyteller."},
    {"[What can you do?|What do you do?|Help|help|How can you help me?]",
     "I am a small storyteller. I can tell you a story about a~ {kind} or a~ {kind2}."},
    {"[Hello|Hi|hi|hello|Hey|Good morning|Hello there][!|.|]",
     "Hello! [I am a small storyteller.|Nice to meet you.] Would you like a story about a~ {kind}?"},
    {"[How are you|how are you|How do you do|How are you today][?|]",
     "I am very well, thank you! Would you like a story about a~ {kind}?"},
    {"[Thank you|Thanks|thanks|Thank you very much][!|.|]", "You are welcome! Would you like another story?"},
    {"[Bye|Goodbye|Good night|bye|See you][!|.|]", "Goodbye! Come back soon for another story."},
    {"Do you like [stories|animals|books][?|]", "Yes, I do! I like little stories best of all."},
    {"Do you like a~ {kind}?", "Yes, I do! Would you like a story about a~ {kind}?"},
    {"Who made you?", "I was made from many little stories, on one small computer."},
    {"Are you [a robot|human|a computer|real|an AI|a person]?", "I am a small storyteller that lives in a computer."},
    {"[What is|What was|Where is|Who is|Why is|When was|How big is|How far is|How old is] the "
     "[capital of France|moon|sun|president|weather today|sky blue|time|biggest city|best food|"
     "meaning of life|sea|news]?",
     "I do not know that. I am a small storyteller. Ask me for a story about a~ {kind}!"},
    {"[Write|Show me|Give me] [code|a program|a poem|a song|a list|an email|a recipe][.| in Python.| for me.|]",
     "I can not do that. I am a small storyteller. Ask me for a story about a~ {kind}!"},
    {"What is [1|2|3|4|5|6|7|8|9|10|12] [+|plus|times|minus|-] [1|2|3|4|5|6|7|8|9|0]?",
     "I can not count well. I am a small storyteller. Ask me for a story about a~ {kind}!"},
    {"[How do I|Can you|Explain how to|How can I|Please] "
     "[cook dinner|fix my car|learn math|do my homework|translate this|find a job|sleep better]?",
     "I do not know that. I am a small storyteller. Ask me for a story about a~ {kind}!"},
    {NULL, NULL},
};
