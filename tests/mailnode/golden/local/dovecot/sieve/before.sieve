require ["fileinto", "mailbox"];
# Spam goes to Junk and no further: it is neither redirected nor answered.
if header :is "X-Spam" "Yes" {
  fileinto :create "Junk";
  stop;
}
