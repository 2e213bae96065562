// Why the server refuses something, by the codes of web/reasons.py: German, Chinese, Spanish. English comes from the server itself.

/** @type {Record<string, [string, string, string]>} */
export const REASONS = {
  // an answer, a draft, an image that is opened
  "unknown_image": ["{0}: Dieses Bild gibt es in der Studie nicht.", "{0}:项目中没有这张图片。", "{0}: no existe esa imagen en el estudio."],
  "taken": ["{0}: {1} bearbeitet es gerade.", "{0}:{1} 正在标注。", "{0}: {1} la está etiquetando."],
  "out_of_use": ["{0} wird nicht mehr verwendet und nicht mehr markiert: {1}", "{0} 已停用,不再标注:{1}", "{0} está fuera de uso y ya no se etiqueta: {1}"],
  "future_round": ["{0}: Runde {1}, erwartet höchstens {2}, die Runde der Studie.", "{0}:第 {1} 轮,应不超过项目当前的第 {2} 轮。", "{0}: ronda {1}; se esperaba como máximo la {2}, la ronda actual del estudio."],
  "question_withdrawn": ["{0}: Nach Runde {1} wird jetzt nicht gefragt. Sie wurde zurückgezogen, wie bei einer Änderung der Klassen, und wird nach einem Training neu gefragt. Davon wurde nichts gespeichert.", "{0}:当前不询问第 {1} 轮。该轮已撤回(例如因类别更改),将在训练后重新询问。未存储任何内容。", "{0}: ahora no se pregunta la ronda {1}. Se retiró, como cuando cambian las clases, y se pregunta de nuevo tras un entrenamiento. No se guardó nada de esto."],
  "question_changed": ["{0}: Inzwischen wird nach anderen Boxen gefragt als denen, die hier beantwortet werden, wie nach einer Änderung der Klassen. Davon wurde nichts gespeichert, da es andere Boxen träfe: ansehen, wonach jetzt gefragt wird, und das Bild noch einmal abgeben.", "{0}:现在询问的框与此回答所针对的框不同(例如类别已更改)。为避免误用到其他框,未存储任何内容:请查看当前的问题并再次提交图片。", "{0}: ahora se pregunta por otras cajas que las de esta respuesta, como tras un cambio de clases. No se guardó nada, pues afectaría a otras cajas: mire lo que se pregunta ahora y entregue la imagen otra vez."],
  "labels_changed": ["{0}: Die Markierungen wurden inzwischen geändert, durch einen Import, jemand anderen oder eine andere Antwort von Ihnen. Davon wurde nichts gespeichert, da es andere Boxen träfe: die jetzigen Markierungen ansehen und das Bild noch einmal abgeben.", "{0}:其标注已被导入、他人或您的另一个回答更改。为避免误用到其他框,未存储任何内容:请查看当前标注并再次提交图片。", "{0}: sus etiquetas se cambiaron entretanto, por una importación, otra persona u otra respuesta suya. No se guardó nada, pues afectaría a otras cajas: mire las etiquetas de ahora y entregue la imagen otra vez."],
  "box_order": ["{0}: Box {1}, erwartet endliche Zahlen mit x1 < x2 und y1 < y2.", "{0}:框 {1},应为有限数值且 x1 < x2、y1 < y2。", "{0}: caja {1}; se esperaban números finitos con x1 < x2 e y1 < y2."],
  "box_outside": ["{0}: Box {1} ragt aus dem Bild, erwartet innerhalb von {2} x {3}.", "{0}:框 {1} 超出图片,应在 {2} x {3} 之内。", "{0}: la caja {1} sale de la imagen; se esperaba dentro de {2} x {3}."],
  "box_sliver": ["{0}: Box {1}, erwartet Seiten von mindestens {2} Pixel.", "{0}:框 {1},边长应不小于 {2} 像素。", "{0}: caja {1}; se esperaban lados de {2} píxel o más."],
  "class_is_gone": ["Die Klassen der Studie wurden geändert, und {0} ist keine mehr davon. Die Seite neu laden und das Bild noch einmal abgeben.", "研究的类别已更改,{0} 已不再是其中之一。请重新加载页面并再次提交图片。", "Las clases del estudio han cambiado y {0} ya no es una de ellas. Vuelva a cargar la página y entregue la imagen otra vez."],
  "key_of_another": ["{0}: Der Schlüssel {1} gehört zu einer anderen Antwort.", "{0}:键 {1} 属于另一个回答。", "{0}: la clave {1} es de otra respuesta."],
  "not_taken_back": ["{0}: Die Antwort lässt sich nicht mehr zurücknehmen. Das Bild noch einmal öffnen, um sie zu berichtigen.", "{0}:该回答已无法撤回。请重新打开图片进行更正。", "{0}: la respuesta ya no se puede retirar. Abra la imagen de nuevo para corregirla."],
  // who may do what
  "own_name": ["Das ist der Link von {0}: Erwartet wird dieser Name und kein anderer.", "这是 {0} 的链接:只能使用此姓名。", "Este es el enlace de {0}: se espera su nombre y ningún otro."],
  "for_reviewers": ["{0} ist {1}: Das ist für Prüfung und Leitung.", "{0} 是 {1}:此处仅供审核员和负责人使用。", "{0} es {1}: esto es para revisión y dirección."],
  "for_leads": ["{0} ist {1}: Das ist für die Leitung.", "{0} 是 {1}:此处仅供负责人使用。", "{0} es {1}: esto es para dirección."],
  "answered_by_another": ["{0}: {1} hat es beantwortet, und {2} ist {3}; die Prüfung darf es öffnen.", "{0}:{1} 已回答,而 {2} 是 {3};审核员可以打开。", "{0}: {1} la ha respondido y {2} es {3}; los revisores pueden abrirla."],
  "kept_for_another": ["{0}: Es ging an {1} zurück, und {2} ist {3}; die Prüfung darf es öffnen.", "{0}:已退回给 {1},而 {2} 是 {3};审核员可以打开。", "{0}: se devolvió a {1} y {2} es {3}; los revisores pueden abrirla."],
  "not_theirs_to_flag": ["{0}: Danach wird nicht gefragt, und {1}, hier {2}, hat es nicht beantwortet; die Prüfung darf es melden und Meldungen aufheben.", "{0}:当前未询问此图片,{1}({2})也未回答过;审核员可以标记或取消标记。", "{0}: no se pregunta por ella y {1}, que es {2}, no la ha respondido; los revisores pueden marcarla y quitar marcas."],
  // a review, the guidelines
  "remark_missing": ["{0}: Eine Bemerkung, warum es zurückgeht, wurde erwartet, es kam keine.", "{0}:退回需要说明原因的备注,但未提供。", "{0}: se esperaba una observación que diga por qué se devuelve y no llegó ninguna."],
  "not_under_review": ["{0}: Diese Antwort ist nicht mehr zu prüfen, oder {1} darf nicht über sie urteilen.", "{0}:此答案已不在审核中,或不应由 {1} 判定。", "{0}: esta respuesta ya no está por revisar, o no le toca a {1} juzgarla."],
  "guidelines_changed": ["Die Richtlinien wurden inzwischen geändert. Kopieren Sie Ihren Text, laden Sie die Seite neu und fügen Sie beides zusammen.", "标注规范已被他人修改。请复制您的文本,重新加载页面并合并两者。", "Las pautas se cambiaron entretanto. Copie su texto, cargue la página de nuevo y una ambos."],
  // one image of many, on the pool's page
  "asked_already": ["{0} wird gerade gefragt.", "{0} 正在询问中。", "{0} ya se está preguntando."],
  "labelled_already": ["{0} ist markiert: Nur Bilder des Vorrats können als Nächstes gefragt werden.", "{0} 已标注:只有图片池中的图片可以列为下次询问。", "{0} está etiquetada: solo se puede preguntar a continuación por imágenes de la reserva."],
  "flagged": ["{0} ist als unbrauchbar gemeldet: Nur Bilder des Vorrats können als Nächstes gefragt werden.", "{0} 已标记为不可用:只有图片池中的图片可以列为下次询问。", "{0} está marcada como inservible: solo se puede preguntar a continuación por imágenes de la reserva."],
  "for_val": ["{0} dient der Validierung: Nur Bilder des Vorrats können als Nächstes gefragt werden.", "{0} 用于验证:只有图片池中的图片可以列为下次询问。", "{0} es de validación: solo se puede preguntar a continuación por imágenes de la reserva."],
  "for_test": ["{0} dient dem Test: Danach wird nie gefragt.", "{0} 用于测试:永不询问。", "{0} es de prueba: nunca se pregunta por ella."],
  "not_asked": ["{0} wird gerade nicht gefragt und kann daher nicht übersprungen werden.", "{0} 当前未被询问,因此无法跳过。", "{0} no se está preguntando ahora, así que no se puede saltar."],
  "reason_missing": ["{0}: Ein Grund wurde erwartet, es kam keiner.", "{0}:需要原因,但未提供。", "{0}: se esperaba un motivo y no llegó ninguno."],
  // the request itself
  "malformed": ["Nicht wie erwartet: {0}: {1}", "不符合要求:{0}:{1}", "No es lo esperado: {0}: {1}"],
  "mistake": ["Das wurde nicht angenommen: {0}", "未被接受:{0}", "No se aceptó: {0}"],
  "wrong_host": ["Unter dem Namen {0} wird diese Seite nicht angeboten; erwartet: {1}. Mit `boxwise label --url` bekommt sie einen weiteren", "此页面不在主机 {0} 下提供;应为 {1}。可用 `boxwise label --url` 添加其他名称", "Esta página no se sirve con el nombre {0}; se esperaba {1}. Con `boxwise label --url` recibe otro"],
  "body_unwanted": ["Eine Anfrage {0} hat keinen Inhalt", "{0} 请求不应带有内容", "Una petición {0} no lleva contenido"],
  "token": ["Diese Seite öffnet sich nur mit dem Link, den `boxwise label` ausgibt: Sein Token fehlt oder ist falsch", "请使用 `boxwise label` 显示的链接打开此页面:令牌缺失或错误", "Abra la página con el enlace que muestra `boxwise label`: falta su token o es incorrecto"],
  "content_type": ["Erwartet den Inhaltstyp application/json, fand {0}", "内容类型应为 application/json,实际为 {0}", "Se esperaba el tipo de contenido application/json y llegó {0}"],
  "other_site": ["Diese Anfrage kommt von einer anderen Website", "此请求来自其他网站", "Esta petición viene de otro sitio"],
  "body_late": ["Der Inhalt der Anfrage kam nicht innerhalb von {0} s", "请求内容未在 {0} 秒内到达", "El contenido de la petición no llegó en {0} s"],
  "too_large": ["Die Anfrage ist größer als {0} Bytes", "请求超过 {0} 字节", "La petición supera los {0} bytes"],
};
