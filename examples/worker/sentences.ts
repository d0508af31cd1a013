/** What is learnt from, and what the result is tested with. */
export const SENTENCES = {
  train: {
    english: [
      "The train leaves in ten minutes from the second platform.",
      "She wrote a long letter to her brother in the north.",
      "We have been waiting here since the shops opened.",
      "The weather was so bad that nobody went outside.",
      "There are three books on the table and one under it.",
      "He could not remember where he had put the keys.",
      "Nothing is as easy as it looks at the beginning.",
      "They sold the house and moved to a smaller town.",
      "If you are hungry, there is bread in the kitchen.",
      "The children were playing with stones by the river.",
    ],
    german: [
      "Der Zug fährt in zehn Minuten vom zweiten Gleis ab.",
      "Sie schrieb ihrem Bruder im Norden einen langen Brief.",
      "Wir warten hier schon, seit die Geschäfte geöffnet haben.",
      "Das Wetter war so schlecht, dass niemand hinausging.",
      "Auf dem Tisch liegen drei Bücher und eines darunter.",
      "Er wusste nicht mehr, wohin er die Schlüssel gelegt hatte.",
      "Nichts ist so leicht, wie es am Anfang aussieht.",
      "Sie verkauften das Haus und zogen in eine kleinere Stadt.",
      "Wenn du hungrig bist, findest du Brot in der Küche.",
      "Die Kinder spielten am Fluss mit den Steinen.",
    ],
  },
  heldOut: {
    english: [
      "I have never seen such a beautiful garden before.",
      "What would you do with so much time and money?",
      "The old man told us the same story every evening.",
      "Please close the window when you leave the room.",
    ],
    german: [
      "Einen so schönen Garten habe ich noch nie gesehen.",
      "Was würdest du mit so viel Zeit und Geld machen?",
      "Der alte Mann erzählte uns jeden Abend dieselbe Geschichte.",
      "Bitte schließ das Fenster, wenn du das Zimmer verlässt.",
    ],
  },
} as const;
